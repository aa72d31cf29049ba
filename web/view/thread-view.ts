import { make } from "./dom.ts";
import type { Entry, Turn } from "../client/transcript.ts";
import { TurnView, type TurnActions } from "./turn-view.ts";

/** This near to the end a reader wants to follow. */
const FOLLOW_PX = 32;

/** The conversation on the page: draws at most once a frame, and follows the end unless the reader scrolled away. */
export class ThreadView {
  readonly #scroller: HTMLElement;
  readonly #list: HTMLElement;
  readonly #jump: HTMLButtonElement;
  readonly #actions: TurnActions;
  readonly #views = new Map<Turn, TurnView>();
  readonly #stale = new Set<Turn>();
  #following = true;
  #lastTop = 0;
  #drawRequested = false;

  constructor(scroller: HTMLElement, list: HTMLElement, jump: HTMLButtonElement, actions: TurnActions) {
    this.#scroller = scroller;
    this.#list = list;
    this.#jump = jump;
    this.#actions = actions;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this.#keepUp()).observe(scroller);
    new ResizeObserver(() => this.#keepUp()).observe(list);
  }

  add(entry: Entry): void {
    if (entry.kind === "divider") {
      this.#list.append(make("p", "divider", make("span", "", entry.text)));
    } else {
      const view = new TurnView(entry, this.#actions);
      this.#views.set(entry, view);
      this.#list.append(view.node);
    }
    this.#keepUp();
  }

  clear(): void {
    this.#views.clear();
    this.#stale.clear();
    this.#list.replaceChildren();
    this.follow();
  }

  /** The view of a turn, for what is told only while it waits. */
  view(turn: Turn): TurnView | undefined {
    return this.#views.get(turn);
  }

  /** Draws the turn with the next frame. */
  refresh(turn: Turn): void {
    this.#stale.add(turn);
    if (this.#drawRequested) return;
    this.#drawRequested = true;
    requestAnimationFrame(() => {
      this.#drawRequested = false;
      for (const stale of this.#stale) this.#views.get(stale)?.show();
      this.#stale.clear();
      this.#keepUp();
    });
  }

  /** Goes to the end and stays there. */
  follow(): void {
    this.#following = true;
    this.#keepUp();
  }

  #keepUp(): void {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#showJump();
  }

  #scrolled(): void {
    const { scrollTop } = this.#scroller;
    if (this.#distance() < FOLLOW_PX) this.#following = true;
    // Growing text moves the end away without a scroll upwards: that is no wish to stay.
    else if (scrollTop < this.#lastTop - 1) this.#following = false;
    this.#lastTop = scrollTop;
    this.#showJump();
  }

  #distance(): number {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #showJump(): void {
    this.#jump.hidden = this.#following || this.#distance() < FOLLOW_PX;
  }
}
