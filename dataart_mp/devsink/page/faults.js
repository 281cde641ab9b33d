// What goes wrong on purpose: the rules in force, and a form for another one.

import { addFault, clearFaults, removeFault } from "./api.js";
import { announce } from "./announce.js";
import { open } from "./dialog.js";
import { byId, element } from "./element.js";
import { count } from "./format.js";
import { KINDS, KNOBS, knobsOf, ruleOf, words } from "./knobs.js";

export class Faults {
  #rules = [];
  #list = element("ul.rules");
  #error = element("p.fault-error", { role: "alert" });

  /** The rules are these. */
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
      "Make things go wrong",
      element("p.quiet", {}, "Rules are asked in their order; delays add up, the first of the others decides. Wrong requests are refused anyway."),
      this.#form(),
      this.#error,
      element("h3", {}, "In force"),
      this.#list,
    );
  }

  #form() {
    const kind = element("select", { name: "kind" }, ...Object.entries(KINDS).map(([name, [label]]) => element("option", { value: name }, label)));
    const fields = Object.fromEntries(Object.entries(KNOBS).map(([name, [, attributes]]) => [name, input(name, attributes)]));
    const knobs = Object.entries(KNOBS).map(([name, [label]]) => [name, element(name === "match" ? "label.knob.wide" : "label.knob", {}, fields[name].type === "checkbox" ? fields[name] : label, fields[name].type === "checkbox" ? label : fields[name])]);
    const arrange = () => {
      const wanted = knobsOf(kind.value);
      for (const [name, knob] of knobs) {
        knob.hidden = !wanted.includes(name);
        fields[name].disabled = knob.hidden;
      }
      fields.status.value = kind.value === "refuse" ? 422 : 503;
    };
    kind.addEventListener("change", arrange);
    arrange();
    const form = element(
      "form",
      { onsubmit: (event) => (event.preventDefault(), this.#do(() => addFault(ruleOf(kind.value, fields)), "Fault added")) },
      element("div.knobs", {}, element("label.knob.wide", {}, "What happens", kind), ...knobs.map(([, knob]) => knob)),
      element("div.buttons", {}, element("button", { type: "button", onclick: () => this.#do(clearFaults, "All faults removed") }, "Remove all"), element("button.primary", { type: "submit" }, "Add")),
    );
    return form;
  }

  async #do(change, said) {
    this.#error.textContent = "";
    try {
      this.show((await change()).faults);
      announce(said);
    } catch (error) {
      this.#error.textContent = error.message;
    }
  }

  #fillList() {
    const rules = this.#rules.map((rule) =>
      element(
        rule.spent ? "li.spent" : "li",
        {},
        element("span.rule", {}, words(rule)),
        element("span.quiet", {}, rule.spent ? `over, hit ${count(rule.fired)}` : `hit ${count(rule.fired)}`),
        element("button.danger", { type: "button", onclick: () => this.#do(() => removeFault(rule.number), "Fault removed") }, "Remove"),
      ),
    );
    this.#list.replaceChildren(...(rules.length ? rules : [element("li.quiet", {}, "None: everything is answered with 200.")]));
  }
}

function input(name, { options, rows, value, ...attributes }) {
  if (options) return element("select", { name }, ...Object.entries(options).map(([option, label]) => element("option", { value: option }, label)));
  const made = element(rows ? "textarea" : "input", { name, rows, ...attributes });
  if (value !== undefined) made.value = value;
  return made;
}
