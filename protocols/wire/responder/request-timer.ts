/**
 * The time of the requests of one link: deadlines, what progress adds to them, and streams that wait for their reader.
 *
 * A stream whose reader takes nothing gives its slot up until it does, and ends when that takes too long.
 * State: the deadlines that are set. What it throws becomes the error that the caller receives.
 */
import { ParleyError } from '../../errors.ts'
import type { Clock, Timers } from '../../port.ts'
import { createDeadlines } from '../link/deadlines.ts'
import type { LinkCounts, LinkLimits } from '../link/link-limits.ts'
import type { Endpoint } from '../payload/contract.ts'
import type { InboundRequest } from './inbound-request.ts'
import type { PeerConcurrency } from './peer-slots.ts'

export interface RequestTimerDeps {
  /** For messages. */
  protocol: string
  clock: Clock
  timers: Timers
  limits: Pick<LinkLimits, 'maxCallMs' | 'maxStreamMs' | 'streamIdleMs'>
  counts: Pick<LinkCounts, 'expired'>
  slots: PeerConcurrency
}

export interface RequestTimer {
  /** Longest deadline that a caller gets, milliseconds, where the method's own is not longer. */
  maxDeadlineMs(endpoint: Endpoint): number
  /** @throws COM001, MSG005 when its time passed while it waited for its turn */
  checkNotExpired(request: InboundRequest, now: number): void
  /** It runs. */
  watch(request: InboundRequest, now: number): void
  unwatch(request: InboundRequest): void
  /** It reported progress: as far as it was when the request came, from now on. */
  extend(request: InboundRequest): void
  /** Why a request that is overdue ends. */
  timeoutError(request: InboundRequest): ParleyError
  /** It waits for its reader, without its slot. @throws COM003 when too many streams of this peer do; the slot is kept */
  park(request: InboundRequest): void
  /** The reader took something. A promise where the stream has to wait for its turn. */
  resume(request: InboundRequest): Promise<void> | undefined
}

export const createRequestTimer = ({
  protocol,
  clock,
  timers,
  limits,
  counts,
  slots,
}: RequestTimerDeps): RequestTimer => {
  const deadlines = createDeadlines(clock, timers)

  const tooLate = (endpoint: Endpoint): ParleyError =>
    new ParleyError('COM001', `${protocol}.${endpoint.name} did not finish in the caller's time`, {
      hint: 'give it more time with timeoutMs; the node that serves it may lower that to timings.maxCallMs or maxStreamMs',
    })

  return {
    maxDeadlineMs: ({ kind }) => (kind === 'stream' ? limits.maxStreamMs : limits.maxCallMs),
    checkNotExpired(request, now) {
      if (request.deadlineAt <= now) {
        counts.expired += 1
        throw tooLate(request.endpoint)
      }
      const { ttlMs } = request.frame
      if (ttlMs === 0 || now - request.arrivedAt < ttlMs) return
      counts.expired += 1
      throw new ParleyError('MSG005', `${protocol}.${request.endpoint.name} expired while it waited for its turn`, {
        hint: 'the peer is busy; give it more ttlMs, or a higher priority',
      })
    },
    watch: (request, now) => deadlines.set(request, request.deadlineAt, now),
    unwatch: deadlines.clear,
    extend(request) {
      const now = clock.monotonic()
      const at = Math.min(now + request.extendMs, request.limitAt)
      if (at <= request.deadlineAt) return
      request.deadlineAt = at
      deadlines.set(request, Math.min(at, request.idleAt), now)
    },
    timeoutError(request) {
      if (request.deadlineAt <= request.idleAt) return tooLate(request.endpoint)
      const idle = `nobody took an item of ${protocol}.${request.endpoint.name} for ${limits.streamIdleMs} ms`
      return new ParleyError('COM001', idle, {
        hint: 'read on, or ask again later; the node that serves it sets timings.streamIdleMs',
      })
    },
    park(request) {
      slots.park()
      request.isParked = true
      request.detachPayload()
      const now = clock.monotonic()
      request.idleAt = now + limits.streamIdleMs
      if (request.idleAt < request.deadlineAt) deadlines.set(request, request.idleAt, now)
    },
    resume(request) {
      if (request.idleAt < request.deadlineAt) deadlines.set(request, request.deadlineAt, clock.monotonic())
      request.idleAt = Number.POSITIVE_INFINITY
      let wake: (() => void) | undefined
      slots.resume(request.priority, {
        start() {
          request.isParked = false
          wake?.()
        },
      })
      if (!request.isParked) return undefined
      return new Promise((resolve) => {
        wake = resolve
      })
    },
  }
}
