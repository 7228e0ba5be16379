/** What one neighbour may ask of the events protocol beside gossip. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import {
  CATALOG_COST,
  HISTORY_REQUEST_RATE,
  MAX_WAITING_SYNCS,
} from '../../../../protocols/events/channels/event-requests.ts'
import { eventsProtocol, MAX_HEADS, type WireHead } from '../../../../protocols/events/protocol.ts'
import { FORWARDED_HEADS_RATE } from '../../../../protocols/events/repair/publisher-heads.ts'
import { node } from '../listeners.ts'
import { createPorts } from '../ports.ts'

const setUp = async () => {
  const net = createPorts()
  const a = node(net, 'a')
  const [mallory, honest] = [net.add('mallory'), net.add('honest')]
  for (const peer of [mallory, honest]) net.connect(a.peer, peer)
  await net.run(100)
  await a.listen()
  await net.run(100)
  return { net, a, mallory, honest }
}

test('numbers of others that one neighbour tells are checked up to its rate, and those of another one still', async () => {
  const { net, a, mallory, honest } = await setUp()
  let checked = 0
  a.peer.verify = async () => {
    checked += 1
    return false
  }
  const headOf = (publisher: string): WireHead => ({
    publisher,
    word: 'tasks',
    epoch: 1,
    last: 1,
    signature: new Uint8Array(64),
  })
  const tell = (from: typeof mallory, count: number) => {
    for (let at = 0; at < count; at += MAX_HEADS) {
      const heads = Array.from({ length: Math.min(MAX_HEADS, count - at) }, (_, n) => headOf(`publisher ${at + n}`))
      void from.port.to('a', eventsProtocol).heads({ heads })
    }
  }
  tell(mallory, FORWARDED_HEADS_RATE.burst)
  await net.run(20)
  assert.equal(checked, FORWARDED_HEADS_RATE.burst)
  tell(mallory, MAX_HEADS)
  await net.run(20)
  assert.ok(
    checked - FORWARDED_HEADS_RATE.burst <= (FORWARDED_HEADS_RATE.perSecond * 60) / 1_000,
    `${checked} were checked`,
  )
  const before = checked
  tell(honest, 10)
  await net.run(20)
  assert.equal(checked - before, 10)
})

test('one neighbour that asks without end takes not all places: another one is still waited for', async () => {
  const { net, mallory, honest } = await setUp()
  const ask = (from: typeof mallory) =>
    from.port.to('a', eventsProtocol).sync({ topics: ['events/never'] }, { timeoutMs: 5_000 })
  const waiting = Array.from({ length: MAX_WAITING_SYNCS }, () => ask(mallory))
  await net.run(30)
  const beganAt = net.now()
  await net.until(ask(honest))
  assert.ok(net.now() - beganAt > 500, 'it had a place')
  await net.until(Promise.all(waiting))
})

test('one neighbour that asks for the history all the time is refused beyond its share, and another one is answered', async () => {
  const { net, a, mallory, honest } = await setUp()
  const range = { publisher: 'a', word: 'tasks', epoch: 1, from: 1, to: 9 }
  const fetch = (from: typeof mallory) => from.port.to('a', eventsProtocol).fetch(range, { timeoutMs: 60_000 })
  const refusedOf = async (asked: Promise<unknown>[]): Promise<number> => {
    const ends = await net.until(Promise.allSettled(asked))
    const failed = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []))
    assert.ok(failed.every((error) => isParleyError(error, 'COM003') && Number(error.details.retryAfterMs) > 0))
    return failed.length
  }
  assert.equal(await refusedOf(Array.from({ length: HISTORY_REQUEST_RATE.burst }, () => fetch(mallory))), 0)
  assert.ok((await refusedOf(Array.from({ length: 500 }, () => fetch(mallory)))) > 400)
  assert.equal(await refusedOf([fetch(honest)]), 0)
  const catalogs = Array.from({ length: HISTORY_REQUEST_RATE.burst / CATALOG_COST + 50 }, () =>
    honest.port.to('a', eventsProtocol).catalog({ word: 'tasks' }, { timeoutMs: 60_000 }),
  )
  assert.ok((await refusedOf(catalogs)) > 0, 'what is held costs as much as some pages')
  assert.ok(a.peer.count('events_asked_refused_total', { method: 'fetch' }) > 400)
  assert.ok(a.peer.count('events_asked_refused_total', { method: 'catalog' }) > 0)
  await net.run(1_000)
  assert.equal(await refusedOf([fetch(mallory)]), 0, 'and with time again')
})
