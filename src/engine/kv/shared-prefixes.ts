import type { Prefilling } from "../scheduling/chunk-plan.ts";
import type { PreparedRequest } from "../ports.ts";
import { LruCache } from "../../core/lru-cache.ts";

/** A slot whose prompt is being processed. */
export interface PrefillingSlot {
  readonly id: number;
  /** Tokens in the slot's KV. */
  readonly length: number;
  /** Prompt tokens left. */
  readonly remaining: number;
  /** Prompt tokens to process in total, see {@link Slot.promptWork}. */
  readonly work: number;
  /** A background job: no token is drawn after its prompt. */
  readonly background: boolean;
  /** The slot dropped the end of its reusable KV in order to process it again, see {@link Slot.refills}. */
  readonly refills: boolean;
  readonly request: Pick<PreparedRequest, "sharedKey" | "sharedTokens">;
}

/** Prompt tokens that a slot may process now. */
export interface PromptLimit extends Prefilling {
  readonly work: number;
  readonly background: boolean;
}

/** States with fewer tokens are not worth storing. */
export const MIN_STATE_TOKENS = 64;
/** System texts whose requests are counted; the least recently used one is dropped. */
const MAX_PREFIXES = 256;

interface Prefix {
  /** Requests with this prefix so far. */
  requests: number;
  /** Storing or loading it failed, so no slot waits for it. */
  refused: boolean;
}

/**
 * Lets one slot process the prefix that all prompts with the same system text share. That slot stops at the exact end
 * of the prefix, so the stored state holds no token of a client. Other slots wait and load the state. No I/O.
 */
export class SharedPrefixes {
  readonly #seen = new LruCache<string, Prefix>(MAX_PREFIXES);

  /** Counts a request. A prefix that only one request has is not worth storing. */
  note({ sharedKey, sharedTokens }: PreparedRequest): void {
    if (sharedTokens < MIN_STATE_TOKENS) return;
    const prefix = this.#seen.get(sharedKey);
    if (prefix) prefix.requests++;
    else this.#seen.set(sharedKey, { requests: 1, refused: false });
  }

  /** Records that storing or loading the state failed. */
  refuse(sharedKey: string): void {
    const prefix = this.#seen.get(sharedKey);
    if (prefix) prefix.refused = true;
  }

  /** Whether the state of the request's prefix should be stored. */
  wanted({ sharedKey, sharedTokens }: PrefillingSlot["request"]): boolean {
    const prefix = sharedTokens >= MIN_STATE_TOKENS ? this.#seen.get(sharedKey) : undefined;
    return prefix !== undefined && prefix.requests > 1 && !prefix.refused;
  }

  /**
   * Prompt tokens that each slot may process now. Slots that wait for a state are left out.
   *
   * @param slots in the order of service
   * @param stored length of the stored state that is worth loading into a slot, or undefined
   */
  limits(
    slots: readonly PrefillingSlot[],
    stored: (slot: PrefillingSlot) => number | undefined,
  ): PromptLimit[] {
    const processed = new Set<string>();
    const limits: PromptLimit[] = [];
    for (const slot of slots) {
      const { request, length, id, work, background } = slot;
      const draws = !background;
      const { sharedKey, sharedTokens } = request;
      if (length >= sharedTokens || slot.refills || !this.wanted(request))
        limits.push({ id, remaining: slot.remaining, depth: length, draws, work, background });
      else if (stored(slot) === undefined && !processed.has(sharedKey)) {
        processed.add(sharedKey);
        const missing = sharedTokens - length;
        const remaining = Math.min(slot.remaining, missing);
        limits.push({
          id,
          remaining,
          depth: length,
          draws: draws && slot.remaining <= missing,
          work,
          background,
        });
      }
    }
    return limits.filter(({ remaining }) => remaining > 0);
  }
}
