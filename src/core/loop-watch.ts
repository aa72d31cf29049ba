/** Names what the event loop does, so that a stall can be explained. Called for every frame and request. */
export interface LoopWatch {
  /** Something begins; call {@link end} when it returns. Calls are not nested. */
  begin(activity: string): void;
  end(): void;
}
