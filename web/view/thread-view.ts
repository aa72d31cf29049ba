import { make } from "./dom.ts";
import type { Entry, Turn } from "../client/transcript.ts";
import { DrawPace } from "./draw-pace.ts";
import { TurnView, type TurnActions } from "./turn-view.ts";

/** Distance from the end, in CSS pixels, within which the view follows new text. */
const FOLLOW_PX = 32;

/**
 * The list of turns. Draws at most once per animation frame and for a limited share of the time. Follows new text
 * unless the user has scrolled up.
 */
export class ThreadView {
  readonly #scroller: HTMLElement;
  readonly #list: HTMLElement;
  readonly #jump: HTMLButtonElement;
  readonly #actions: TurnActions;
  readonly #views = new Map<Turn, TurnView>();
  readonly #stale = new Set<Turn>();
  readonly #pace = new DrawPace();
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
    new ResizeObserver(() => this.#scrollToEnd()).observe(scroller);
    new ResizeObserver(() => this.#scrollToEnd()).observe(list);
  }

  add(entry: Entry): void {
    if (entry.kind === "divider") {
      this.#list.append(make("p", "divider", make("span", "", entry.text)));
    } else {
      const view = new TurnView(entry, this.#actions);
      this.#views.set(entry, view);
      this.#list.append(view.node);
    }
    this.#scrollToEnd();
  }

  clear(): void {
    this.#views.clear();
    this.#stale.clear();
    this.#list.replaceChildren();
    this.follow();
  }

  /** The view of a turn, for status changes that are not part of the turn itself. */
  view(turn: Turn): TurnView | undefined {
    return this.#views.get(turn);
  }

  /** Redraws the turn in the next animation frame that {@link DrawPace} allows. */
  refresh(turn: Turn): void {
    this.#stale.add(turn);
    if (this.#drawRequested) return;
    this.#drawRequested = true;
    requestAnimationFrame(() => this.#drawStale());
  }

  #drawStale(): void {
    const begin = performance.now();
    if (!this.#pace.mayDraw(begin)) {
      requestAnimationFrame(() => this.#drawStale());
      return;
    }
    this.#drawRequested = false;
    for (const stale of this.#stale) this.#views.get(stale)?.show();
    this.#stale.clear();
    this.#scrollToEnd();
    this.#pace.drew(begin, performance.now());
  }

  /** Scrolls to the end and follows new text from then on. */
  follow(): void {
    this.#following = true;
    this.#scrollToEnd();
  }

  #scrollToEnd(): void {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#showJump();
  }

  #scrolled(): void {
    const { scrollTop } = this.#scroller;
    if (this.#distance() < FOLLOW_PX) this.#following = true;
    // New text also increases the distance to the end. Only scrolling up stops following.
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
