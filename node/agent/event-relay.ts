/**
 * A subscription of an agent, on the node's side: events go to the worker as its reader takes them.
 *
 * State: one event on its way, and at most MAX_MISSED reports of missed ones. While the worker takes nothing, events wait
 * in the subscription's own bounded queue, where what does not fit is dropped, counted and reported.
 */
import { onAbort } from '../../protocols/async.ts'
import type { Events, Subscription } from '../../protocols/events/api.ts'
import type { MeshEvent, Missed } from '../../protocols/events/event.ts'
import type { Clock, Log } from '../../protocols/port.ts'
import { type SubscriptionItem, sharedNow, type ThreadSubscribeRequest } from './channel/thread-requests.ts'

export const MAX_MISSED = 64

export async function* relayEvents(
  {
    events,
    clock,
    log,
  }: { events: Pick<Events, 'subscribe'>; clock: Pick<Clock, 'monotonic'>; log: Pick<Log, 'warn'> },
  { pattern, queueEvents, from }: ThreadSubscribeRequest,
  signal: AbortSignal,
): AsyncGenerator<SubscriptionItem, void, undefined> {
  const missed: Missed[] = []
  let current: { event: MeshEvent; taken(): void } | undefined
  let ready: Subscription | undefined
  let subscription: Subscription | undefined
  let refused: { error: unknown } | undefined
  let wake = (): void => {}

  const toShared = (event: MeshEvent): MeshEvent =>
    event.expiresAt === undefined ? event : { ...event, expiresAt: event.expiresAt - clock.monotonic() + sharedNow() }
  const stopFollowing = onAbort(signal, () => wake())

  const options = {
    signal,
    ...(queueEvents === undefined ? {} : { queueEvents }),
    ...(from === undefined ? {} : { from }),
    onMissed(report: Missed) {
      if (missed.length < MAX_MISSED) missed.push(report)
      else log.warn('an agent is too slow to be told of all events that it missed', { pattern, ...report })
      wake()
    },
  }
  // Events may come before the neighbours have confirmed; they are not held up by that.
  events
    .subscribe(
      pattern,
      (event) =>
        new Promise<void>((taken) => {
          current = { event, taken }
          wake()
        }),
      options,
    )
    .then(
      (made) => {
        subscription = made
        ready = made
        wake()
      },
      (error: unknown) => {
        refused = { error }
        wake()
      },
    )

  try {
    while (!signal.aborted) {
      const dropped = subscription?.dropped() ?? 0
      const report = missed.shift()
      if (refused !== undefined) throw refused.error
      if (ready !== undefined) {
        const { confirmed, unconfirmed } = ready
        ready = undefined
        yield { kind: 'ready', confirmed, unconfirmed }
      } else if (report !== undefined) {
        yield { kind: 'missed', missed: report, dropped }
      } else if (current !== undefined) {
        const { event, taken } = current
        current = undefined
        yield { kind: 'event', event: toShared(event), dropped }
        taken()
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    stopFollowing()
    current?.taken()
    void subscription?.stop()
  }
}
