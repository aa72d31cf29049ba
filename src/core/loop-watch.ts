/** Records the current activity of the event loop, to explain a stall. Called for every frame and request. */
export interface LoopWatch {
  /** Records the start of an activity. Call {@link end} when it ends. Calls are not nested. */
  begin(activity: string): void;
  end(): void;
}
