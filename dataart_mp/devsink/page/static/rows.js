// A list of rows with keyboard navigation; one row can be selected.

export class Rows {
  #selected = null;

  constructor(list) {
    this.list = list;
  }

  prepend(row) {
    this.list.prepend(row);
  }

  clear() {
    this.list.replaceChildren();
    this.#selected = null;
  }

  /** Select a row, and run its action. */
  choose(button, act) {
    this.release();
    this.#selected = button;
    button.setAttribute("aria-current", "true");
    act();
  }

  /** Deselect the row; optionally give it the focus. */
  release(focus = false) {
    this.#selected?.removeAttribute("aria-current");
    if (focus) this.#selected?.focus();
    this.#selected = null;
  }

  /** Move the focus by a number of rows; if a row is selected, the selection follows. */
  move(step) {
    const from = this.#at(document.activeElement) ?? this.#at(this.#selected);
    const buttons = this.list.children;
    const index = from === undefined ? 0 : Math.min(Math.max(from + step, 0), buttons.length - 1);
    const button = buttons[index]?.firstElementChild;
    button?.focus();
    button?.scrollIntoView({ block: "nearest" });
    if (this.#selected) button?.click();
  }

  #at(button) {
    const row = button?.closest("li");
    if (row?.parentElement !== this.list) return undefined;
    return [...this.list.children].indexOf(row);
  }
}
