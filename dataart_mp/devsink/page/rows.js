// Rows that can be walked through with the keyboard; one may be chosen.

export class Rows {
  #chosen = null;

  constructor(list) {
    this.list = list;
  }

  prepend(row) {
    this.list.prepend(row);
  }

  clear() {
    this.list.replaceChildren();
    this.#chosen = null;
  }

  /** Mark a row, and do what it is chosen for. */
  choose(button, act) {
    this.release();
    this.#chosen = button;
    button.setAttribute("aria-current", "true");
    act();
  }

  /** Unmark the row, and give it the focus if it should have it. */
  release(focus = false) {
    this.#chosen?.removeAttribute("aria-current");
    if (focus) this.#chosen?.focus();
    this.#chosen = null;
  }

  /** Go so many rows down, or up; choose what is there if something is chosen. */
  move(step) {
    const from = this.#at(document.activeElement) ?? this.#at(this.#chosen);
    const buttons = this.list.children;
    const index = from === undefined ? 0 : Math.min(Math.max(from + step, 0), buttons.length - 1);
    const button = buttons[index]?.firstElementChild;
    button?.focus();
    button?.scrollIntoView({ block: "nearest" });
    if (this.#chosen) button?.click();
  }

  #at(button) {
    const row = button?.closest("li");
    if (row?.parentElement !== this.list) return undefined;
    return [...this.list.children].indexOf(row);
  }
}
