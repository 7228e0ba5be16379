/**
 * What neighbours said of themselves last, and how long their answers take.
 *
 * State: the last message and the last round trip of each neighbour.
 */
import type { Clock } from '../../protocols/port.ts'
import type { Activity } from '../agent-activity.ts'
import type { Heartbeat } from './protocol.ts'

interface Neighbour {
  last: Heartbeat | undefined
  lastAtMs: number
  rttMs: number | undefined
}

/** How an agent gets on with its work, as it stands in a message. */
export const activityFields = (activity: Activity | undefined): Pick<Heartbeat, 'activity' | 'sinceMs' | 'progress'> =>
  activity === undefined
    ? {}
    : {
        activity: activity.state,
        ...(activity.sinceMs === undefined ? {} : { sinceMs: activity.sinceMs }),
        ...(activity.progress === undefined ? {} : { progress: activity.progress }),
      }

export class NeighbourHeartbeats {
  readonly #clock: Clock
  readonly #neighbours = new Map<string, Neighbour>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(peer: string): void {
    this.#neighbours.set(peer, { last: undefined, lastAtMs: 0, rttMs: undefined })
  }

  remove(peer: string): void {
    this.#neighbours.delete(peer)
  }

  clear(): void {
    this.#neighbours.clear()
  }

  /** It said this. @param rttMs where it was the answer to a probe */
  note(peer: string, beat: Heartbeat, rttMs?: number): void {
    const neighbour = this.#neighbours.get(peer)
    if (neighbour === undefined) return
    neighbour.last = beat
    neighbour.lastAtMs = this.#clock.monotonic()
    if (rttMs !== undefined) neighbour.rttMs = rttMs
  }

  load(peer: string): { load: number; queueLength: number } | undefined {
    const last = this.#neighbours.get(peer)?.last
    return last === undefined ? undefined : { load: last.load, queueLength: last.queueLength }
  }

  /** With the time since it said so. */
  activity(peer: string): Activity | undefined {
    const { last, lastAtMs = 0 } = this.#neighbours.get(peer) ?? {}
    if (last?.activity === undefined) return undefined
    const { activity: state, sinceMs, progress } = last
    return {
      state,
      ...(sinceMs === undefined ? {} : { sinceMs: Math.round(sinceMs + this.#clock.monotonic() - lastAtMs) }),
      ...(progress === undefined ? {} : { progress }),
    }
  }

  rttMs(peer: string): number | undefined {
    return this.#neighbours.get(peer)?.rttMs
  }
}
