/**
 * How much of what is no work one peer may have this node do on a link: grants, cancels, and requests that are refused.
 *
 * An honest peer sends a grant for what it was sent, and a cancel for what it asked for, so these are counted against that
 * and no clock is needed. A refusal costs more than it costs to ask for it: after some of them others have their turn, a
 * peer that goes on is slowed, and one that could know better is cut off.
 * State: two counts of the link; the peer's own rate of refusals is shared by its links (concurrency-limiter.ts).
 */
import type { Clock } from '../../port.ts'
import { malformed } from '../frames/protobuf.ts'
import type { PeerConcurrency } from './peer-slots.ts'

/** Grants and cancels that a peer may send before it was sent anything, and that it may save up. */
const FIRST_CONTROLS = 1_000
const MAX_CONTROLS = 1_000_000
const REFUSALS_A_TURN = 64
const TURN_MS = 1
const SLOWED_MS = 50
const MOST_SLOWED = 100

export interface FloodLimit {
  /** A request came. */
  request(): void
  /** The peer was sent so many units of a stream. */
  unitsSent(units: number): void
  /** A frame that is no request came. @throws MSG003 when there are more than there can be work for */
  control(): void
  /** A request was refused. @throws MSG003 when the peer goes on although the node is not busy */
  refused(code: string): void
}

/** @param hold has the link not look at frames for so long */
export const createFloodLimit = (
  slots: Pick<PeerConcurrency, 'mayRefuse'>,
  clock: Pick<Clock, 'monotonic'>,
  hold: (forMs: number) => void,
): FloodLimit => {
  let allowed = FIRST_CONTROLS
  let refusals = 0
  let slowed = 0

  return {
    request() {
      if (allowed < MAX_CONTROLS) allowed += 2
    },
    unitsSent(units) {
      allowed = Math.min(allowed + units, MAX_CONTROLS)
    },
    control() {
      allowed -= 1
      if (allowed < 0) throw malformed('more grants and cancels than there is work')
    },
    refused(code) {
      refusals += 1
      if (refusals % REFUSALS_A_TURN !== 0) return
      const may = slots.mayRefuse(REFUSALS_A_TURN, clock.monotonic())
      hold(may ? TURN_MS : SLOWED_MS)
      // Who asks too much of a busy node may be right; who is refused for other reasons could know.
      if (may || code === 'COM003' || code === 'COM002') return
      slowed += 1
      if (slowed >= MOST_SLOWED) throw malformed('a flood of requests that cannot be answered')
    },
  }
}
