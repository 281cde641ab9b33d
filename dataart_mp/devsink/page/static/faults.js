// The fault rules in force, and a form to add one.

import { addFault, clearFaults, removeFault } from "./api.js";
import { announce } from "./announce.js";
import { open } from "./dialog.js";
import { byId, element } from "./element.js";
import { plural } from "./format.js";
import { visible } from "./visible.js";
import { KINDS, FIELDS, fieldsOf, ruleOf, description } from "./rule.js";

export class Faults {
  #rules = [];
  #list = element("ul.rules");
  #error = element("p.fault-error", { role: "alert" });

  /** Show these rules. */
  show(rules) {
    const active = rules.filter((rule) => !rule.spent).length;
    byId("fault-count").textContent = String(active);
    byId("fault-count").hidden = !active;
    const changed = JSON.stringify(rules) !== JSON.stringify(this.#rules);
    this.#rules = rules;
    if (changed) this.#fillList();
  }

  open() {
    this.#error.textContent = "";
    this.#fillList();
    open(
      "faults",
      "Inject faults",
      element("p.quiet", {}, "Rules are tried in order: delays add up, and the first other rule decides. Wrong requests are rejected in any case."),
      this.#form(),
      this.#error,
      element("h3", {}, "In force"),
      this.#list,
    );
  }

  #form() {
    const kind = element("select", { name: "kind" }, ...Object.entries(KINDS).map(([name, [label]]) => element("option", { value: name }, label)));
    const fields = Object.fromEntries(Object.entries(FIELDS).map(([name, [, attributes]]) => [name, input(name, attributes)]));
    const labels = Object.entries(FIELDS).map(([name, [label]]) => [name, element(name === "match" ? "label.fault-field.wide" : "label.fault-field", {}, fields[name].type === "checkbox" ? fields[name] : label, fields[name].type === "checkbox" ? label : fields[name])]);
    const arrange = () => {
      const wanted = fieldsOf(kind.value);
      for (const [name, label] of labels) {
        label.hidden = !wanted.includes(name);
        fields[name].disabled = label.hidden;
      }
      fields.status.value = kind.value === "refuse" ? 422 : 503;
    };
    kind.addEventListener("change", arrange);
    arrange();
    const form = element(
      "form",
      { onsubmit: (event) => (event.preventDefault(), this.#do(() => addFault(ruleOf(kind.value, fields)), "Fault added")) },
      element("div.fields", {}, element("label.fault-field.wide", {}, "Kind of fault", kind), ...labels.map(([, label]) => label)),
      element("div.buttons", {}, element("button", { type: "button", onclick: () => this.#do(clearFaults, "All faults removed") }, "Remove all"), element("button.primary", { type: "submit" }, "Add")),
    );
    return form;
  }

  async #do(change, message) {
    this.#error.textContent = "";
    try {
      this.show((await change()).faults);
      announce(message);
    } catch (error) {
      this.#error.textContent = visible(error.message);
    }
  }

  #fillList() {
    const rules = this.#rules.map((rule) =>
      element(
        rule.spent ? "li.spent" : "li",
        {},
        element("span.rule", {}, description(rule)),
        element("span.quiet", {}, `${rule.spent ? "expired, " : ""}fired ${plural(rule.fired, "time", "times")}`),
        element("button.danger", { type: "button", onclick: () => this.#do(() => removeFault(rule.number), "Fault removed") }, "Remove"),
      ),
    );
    this.#list.replaceChildren(...(rules.length ? rules : [element("li.quiet", {}, "None: every valid request gets a 200.")]));
  }
}

function input(name, { options, rows, value, ...attributes }) {
  if (options) return element("select", { name }, ...Object.entries(options).map(([option, label]) => element("option", { value: option }, label)));
  const made = element(rows ? "textarea" : "input", { name, rows, ...attributes });
  if (value !== undefined) made.value = value;
  return made;
}
