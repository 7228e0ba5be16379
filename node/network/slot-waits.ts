/**
 * What waits for a slot of this node and what has one, for whoever looks for deadlocks (protocols/wait-graph/): requests of
 * agents, of all links. The mesh's own protocols have slots of their own, and their handlers call nobody who waits for them.
 * Keeps no state.
 */
import type { ParleyError } from '../../protocols/errors.ts'
import type { LocalWaits } from '../../protocols/wait-graph/deadlock-detection.ts'
import type { QueuedRequest, RunningRequest } from '../../protocols/wait-graph/wait-graph.ts'
import { readCallKey } from '../../protocols/wire/child-calls.ts'
import type { ConcurrencyLimiter } from '../../protocols/wire/responder/concurrency-limiter.ts'
import type { InboundRequest } from '../../protocols/wire/responder/inbound-request.ts'
import type { Router } from './router.ts'

export interface SlotWaitsDeps {
  /** Peer id of this node. */
  readonly self: string
  readonly router: Pick<Router, 'requests' | 'requestOf'>
  readonly slots: Pick<ConcurrencyLimiter, 'queued' | 'onLine'>
}

const isInLine = (request: InboundRequest): boolean => !request.hasStarted && !request.hasEnded

/** A stream that waits for its reader has none. */
const hasSlot = (request: InboundRequest): boolean => request.hasStarted && !request.isParked

const runningOf = ({ peer, knownCalls }: InboundRequest): RunningRequest => ({
  peer,
  changes: knownCalls?.changes() ?? 0,
  calls: knownCalls?.calls() ?? [],
})

export const createSlotWaits = ({ self, router, slots }: SlotWaitsDeps): LocalWaits => {
  const find = (peer: string | undefined, key: string): InboundRequest | undefined => {
    const named = readCallKey(key)
    return named === undefined ? undefined : router.requestOf(peer, named.session, named.exchange)
  }

  return {
    hasLine: () => slots.queued() > 0,
    onLine: (fn) => slots.onLine(fn),
    knows: (peer, key) => find(peer, key) !== undefined,
    mayBeStuck(sinceMs) {
      let isLate = false
      for (const request of router.requests()) {
        if (isInLine(request)) isLate ||= request.arrivedAt <= sinceMs
        // Of a node that is merely busy, nearly every look ends at the first one.
        else if (hasSlot(request) && (request.knownCalls?.size() ?? 0) === 0) return false
      }
      return isLate
    },
    here() {
      const queued = new Map<string, QueuedRequest>()
      const running = new Map<string, RunningRequest>()
      for (const request of router.requests()) {
        if (isInLine(request)) queued.set(request.callKey, { peer: request.peer })
        else if (hasSlot(request)) running.set(request.callKey, runningOf(request))
      }
      return { self, queued, running }
    },
    refuse(key: string, error: ParleyError) {
      const request = find(undefined, key)
      if (request === undefined || !isInLine(request)) return false
      request.refuse(error)
      return true
    },
  }
}
