/**
 * How fast the gossip of one neighbour is read: a slice of the event loop at a time, so many messages under check, and rates
 * of messages and of subscriptions, grafts and prunes (the generic cell rate algorithm, ITU-T I.371).
 *
 * Pure; times are milliseconds of a monotonic clock. State: what came since its stream was last paused, how much is under
 * check, when all that it sent will have been within its rates, and the loops that wait for fewer messages under check.
 */

export const SLICE_MESSAGES = 32
const SLICE_BYTES = 256 << 10
/** Messages of one neighbour under check, and their bytes: a part of what all may have (`events.maxUnverifiedBytes`). */
export const MAX_OPEN_CHECKS = 64
export const MAX_OPEN_BYTES = 4 << 20
/** It is read again when no more are. */
const FEW_OPEN = MAX_OPEN_CHECKS / 2
const FEW_OPEN_BYTES = MAX_OPEN_BYTES / 2
/** Subscriptions, grafts and prunes of one neighbour; a burst is what a node with all topics says at once, twice. */
const CONTROLS_PER_S = 256
export const CONTROL_BURST = 4_096
/**
 * Messages of one neighbour: a part of what one event loop can take, and above what honest batches come to. A large one
 * counts for each `MESSAGE_BYTES`, which makes 64 MiB a second.
 */
export const MESSAGES_PER_S = 4_096
export const MESSAGE_BURST = 4_096
const MESSAGE_BYTES = 16 << 10

export class GossipRateLimit {
  #messages = 0
  #bytes = 0
  #open = 0
  #openBytes = 0
  #messagesAtMs = 0
  #controlsAtMs = 0
  #waiting: (() => void)[] = []

  /** Bytes of its stream were read. */
  read(bytes: number): void {
    this.#bytes += bytes
  }

  /** They were so many messages and control messages. */
  charge(messages: number, controls: number, bytes: number, nowMs: number): void {
    const count = Math.max(1, messages, bytes / MESSAGE_BYTES)
    this.#messagesAtMs = Math.max(this.#messagesAtMs, nowMs) + (1_000 * count) / MESSAGES_PER_S
    if (controls > 0) this.#controlsAtMs = Math.max(this.#controlsAtMs, nowMs) + (1_000 * controls) / CONTROLS_PER_S
  }

  /** So many of them are handled before anything else of it is. */
  take(messages: number): void {
    this.#messages += Math.max(1, Math.min(messages, SLICE_MESSAGES))
  }

  /** How long it has to wait for its rates; 0 or less: not at all. */
  aheadMs(nowMs: number): number {
    return Math.max(
      this.#messagesAtMs - nowMs - (1_000 * MESSAGE_BURST) / MESSAGES_PER_S,
      this.#controlsAtMs - nowMs - (1_000 * CONTROL_BURST) / CONTROLS_PER_S,
    )
  }

  /** It had its slice, or is ahead of its bounds: it is not read before a later turn. */
  isDue(nowMs: number): boolean {
    return (
      this.#messages >= SLICE_MESSAGES ||
      this.#bytes >= SLICE_BYTES ||
      this.#open >= MAX_OPEN_CHECKS ||
      this.#openBytes >= MAX_OPEN_BYTES ||
      this.aheadMs(nowMs) > 0
    )
  }

  /** Its next slice begins. */
  begin(): void {
    this.#messages = 0
    this.#bytes = 0
  }

  /** A message of it goes under check. */
  checkStarted(bytes: number): void {
    this.#open += 1
    this.#openBytes += bytes
  }

  checkEnded(bytes: number): void {
    this.#open = Math.max(0, this.#open - 1)
    this.#openBytes = Math.max(0, this.#openBytes - bytes)
    if (this.#isFewOpen()) this.release()
  }

  #isFewOpen(): boolean {
    return this.#open <= FEW_OPEN && this.#openBytes <= FEW_OPEN_BYTES
  }

  /** @returns undefined where few enough messages are under check; else resolves once they are, or it is gone */
  fewOpen(): Promise<void> | undefined {
    if (this.#isFewOpen()) return undefined
    return new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  release(): void {
    const all = this.#waiting
    this.#waiting = []
    for (const go of all) go()
  }
}
