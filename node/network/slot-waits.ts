/**
 * What waits for a slot of this node and what has one, for whoever looks for deadlocks (protocols/wait-graph/): requests of
 * agents, of all links. The mesh's own protocols have slots of their own, and their handlers call nobody who waits for them.
 * Keeps no state.
 */
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
  readonly slots: Pick<ConcurrencyLimiter, 'active' | 'queued' | 'onLine' | 'usageOf'>
}

const NOTHING = { active: 0, queued: 0, parked: 0 } as const
/** Handlers whose links are closed: they have their slots until they return, and nobody waits for them. */
const LEFT = 'left'
const NOBODYS: RunningRequest = { peer: '', since: Number.POSITIVE_INFINITY, changes: 0, calls: [] }

const isInLine = (request: InboundRequest): boolean => !request.hasStarted && !request.hasEnded

/** A stream that waits for its reader has none. */
const hasSlot = (request: InboundRequest): boolean => request.hasStarted && !request.isParked

const runningOf = ({ peer, knownCalls }: InboundRequest): RunningRequest => ({
  peer,
  since: knownCalls?.since() ?? Number.POSITIVE_INFINITY,
  changes: knownCalls?.changes() ?? 0,
  calls: knownCalls?.calls() ?? [],
})

export const createSlotWaits = ({ self, router, slots }: SlotWaitsDeps): LocalWaits => {
  const find = (peer: string, key: string): InboundRequest | undefined => {
    const named = readCallKey(key)
    return named === undefined ? undefined : router.requestOf(peer, named.session, named.exchange)
  }

  return {
    size: () => slots.active() + slots.queued(),
    hasLine: () => slots.queued() > 0,
    onLine: (fn) => slots.onLine(fn),
    // Named more often than there are any, they are not looked for.
    knows: (peer, keys) => {
      const { active, queued, parked } = slots.usageOf(peer) ?? NOTHING
      return keys.length <= active + queued + parked && keys.every((key) => find(peer, key) !== undefined)
    },
    mayBeStuck(sinceMs) {
      let isLate = false
      let taken = 0
      for (const request of router.requests()) {
        if (isInLine(request)) isLate ||= request.arrivedAt <= sinceMs
        // Of a node that is merely busy, nearly every look ends at the first one.
        else if (hasSlot(request)) {
          if ((request.knownCalls?.size() ?? 0) === 0) return false
          taken += 1
        }
      }
      return isLate && taken >= slots.active()
    },
    here() {
      const queued = new Map<string, QueuedRequest>()
      const running = new Map<string, RunningRequest>()
      for (const request of router.requests()) {
        const isWaiting = isInLine(request)
        if (!isWaiting && !hasSlot(request)) continue
        const { callKey, peer, arrivedAt } = request
        // Sessions are their callers' to choose: one that took another's hides nothing, and is found by nobody.
        const key = queued.has(callKey) || running.has(callKey) ? `${callKey}.${queued.size + running.size}` : callKey
        if (isWaiting) queued.set(key, { peer, since: arrivedAt })
        else running.set(key, runningOf(request))
      }
      if (running.size < slots.active()) running.set(LEFT, NOBODYS)
      return { self, queued, running }
    },
    refuse(peer, key, error) {
      const request = find(peer, key)
      if (request === undefined || !isInLine(request)) return false
      request.refuse(error)
      return true
    },
  }
}
