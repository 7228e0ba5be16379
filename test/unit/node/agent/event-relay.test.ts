import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_MISSED, relayEvents } from '../../../../node/agent/event-relay.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import type { Events, SubscribeOptions, Subscription } from '../../../../protocols/events/api.ts'
import type { Listener, MeshEvent, Missed } from '../../../../protocols/events/event.ts'
import { failureOf } from '../../../support/until.ts'

const eventOf = (data: unknown, expiresAt?: number): MeshEvent => ({
  id: 'a',
  topic: 'words.spoken',
  data,
  source: 'peer',
  timestamp: 0,
  epoch: 1,
  sequence: 1,
  type: undefined,
  version: undefined,
  conversationId: undefined,
  correlationId: undefined,
  headers: {},
  priority: 'normal',
  expiresAt,
})
const missedOf = (from: number): Missed => ({
  publisher: 'peer',
  word: 'words',
  epoch: 1,
  from,
  to: from,
  reason: 'gap',
})

const start = (refuse?: ParleyError) => {
  const seen = { unsubscribed: 0, warned: 0 }
  let listener: Listener<unknown> = () => {}
  let options: SubscribeOptions = {}
  const subscription: Pick<Subscription, 'confirmed' | 'unconfirmed' | 'dropped' | 'stop'> = {
    confirmed: 2,
    unconfirmed: ['slow'],
    dropped: () => 7,
    async stop() {
      seen.unsubscribed += 1
    },
  }
  const subscribe = async (_: unknown, given: Listener<unknown>, settings: SubscribeOptions) => {
    if (refuse !== undefined) throw refuse
    listener = given
    options = settings
    return subscription
  }
  const stop = new AbortController()
  const warn = (): void => {
    seen.warned += 1
  }
  const items = relayEvents(
    // Only what the relay uses of it.
    { events: { subscribe } as unknown as Pick<Events, 'subscribe'>, clock: { monotonic: () => 1000 }, log: { warn } },
    { what: 'subscribe', pattern: 'words.*', queueEvents: 5 },
    stop.signal,
  )
  return { items, seen, stop, hear: (event: MeshEvent) => listener(event), options: () => options }
}

test('it says who knows of the subscription, then hands over one event at a time', async () => {
  const { items, hear, options, stop, seen } = start()
  assert.deepEqual((await items.next()).value, { kind: 'ready', confirmed: 2, unconfirmed: ['slow'] })
  assert.equal(options().queueEvents, 5)
  let taken = false
  const heard = Promise.resolve(hear(eventOf('one'))).then(() => {
    taken = true
  })
  const { value } = await items.next()
  assert.ok(value?.kind === 'event' && value.event.data === 'one' && value.dropped === 7)
  assert.equal(taken, false, 'the listener is busy until the next one is asked for')
  const next = items.next()
  await heard
  stop.abort()
  assert.equal((await next).done, true)
  assert.equal(seen.unsubscribed, 1)
})

test('as many reports of missed events as are allowed wait, and what is more is counted in the log', async () => {
  const { items, options, seen } = start()
  await items.next()
  for (let n = 0; n < MAX_MISSED; n += 1) options().onMissed?.(missedOf(n))
  assert.equal(seen.warned, 0)
  options().onMissed?.(missedOf(MAX_MISSED))
  assert.equal(seen.warned, 1)
  for (let n = 0; n < MAX_MISSED; n += 1) {
    const { value } = await items.next()
    assert.ok(value?.kind === 'missed' && value.missed.from === n)
  }
  await items.return()
  assert.equal(seen.unsubscribed, 1)
})

test('a refused subscription ends it with the reason', async () => {
  const { items } = start(new ParleyError('MSG001', 'no such pattern'))
  assert.equal(String(await failureOf(items.next())), 'ValidationError: no such pattern')
})

test('the time at which an event expires is told on the clock that both threads share', async () => {
  const { items, hear } = start()
  await items.next()
  void hear(eventOf('soon', 1500))
  const before = Number(process.hrtime.bigint()) / 1e6
  const { value } = await items.next()
  assert.ok(value?.kind === 'event')
  const leftMs = (value.event.expiresAt ?? 0) - before
  assert.ok(leftMs >= 500 && leftMs < 1500, `${leftMs}`)
  await items.return()
})
