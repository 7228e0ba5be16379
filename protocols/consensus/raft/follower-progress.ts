/**
 * What a leader knows of one follower's log.
 *
 * `probe`: where the logs agree is not known, one message at a time; `replicate`: messages follow one another without
 * waiting; `snapshot`: what it lacks is not in the log any more.
 */

/** Messages on their way to one follower, at most. */
export const MAX_APPENDS_IN_FLIGHT = 64

/** Heartbeats that a snapshot may take; one whose driver says that it failed is sent again at once. */
const SNAPSHOT_BEATS = 50

export class FollowerProgress {
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Last index that is known to be the same there. */
  match = 0
  next: number
  /** It answered since quorum was checked last. */
  isActive = false
  /** A probe is on its way; the next heartbeat repeats it. */
  isWaiting = false
  /** Last indices of the messages on their way, oldest first. */
  #inFlight: number[] = []
  /** Heartbeats since the snapshot was sent. */
  #beats = 0
  /** Where the snapshot that is on its way ends. */
  snapshotIndex = 0
  /** The last round of heartbeats that it answered. */
  round = 0

  constructor(next: number) {
    this.next = next
  }

  get isPaused(): boolean {
    if (this.state === 'probe') return this.isWaiting
    return this.state === 'snapshot' || this.#inFlight.length >= MAX_APPENDS_IN_FLIGHT
  }

  onSent(lastIndex: number): void {
    if (this.state === 'replicate') {
      this.next = lastIndex + 1
      this.#inFlight.push(lastIndex)
    } else this.isWaiting = true
  }

  /** @returns whether it is news */
  onAccepted(index: number): boolean {
    const isNews = index > this.match
    this.match = Math.max(this.match, index)
    this.next = Math.max(this.next, index + 1)
    this.isWaiting = false
    while (this.#inFlight.length > 0 && (this.#inFlight[0] ?? 0) <= index) this.#inFlight.shift()
    if (this.state === 'probe' || (this.state === 'snapshot' && this.match >= this.snapshotIndex)) this.startReplicate()
    return isNews
  }

  /** The log there does not fit at `index`. @returns false for an answer to what is old by now */
  onRefused(index: number, next: number): boolean {
    if (index <= this.match || (this.state === 'probe' && index !== this.next - 1)) return false
    this.startProbe()
    this.next = Math.max(this.match + 1, Math.min(next, index))
    return true
  }

  startProbe(): void {
    this.state = 'probe'
    this.isWaiting = false
    this.#inFlight = []
    this.next = this.match + 1
  }

  startReplicate(): void {
    this.state = 'replicate'
    this.#inFlight = []
    this.next = this.match + 1
  }

  /** A heartbeat repeats what may be lost: a probe each time, a snapshot after a while. */
  onHeartbeat(): void {
    this.isWaiting = false
    if (this.state !== 'snapshot') return
    this.#beats += 1
    if (this.#beats >= SNAPSHOT_BEATS) this.startProbe()
  }

  startSnapshot(index: number): void {
    this.#beats = 0
    this.state = 'snapshot'
    this.snapshotIndex = index
    this.#inFlight = []
  }
}
