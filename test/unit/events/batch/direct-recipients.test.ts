import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createDirectRecipients,
  DIRECT_RECIPIENTS_BYTES,
} from '../../../../protocols/events/batch/direct-recipients.ts'
import { createPorts } from '../ports.ts'

const TOPIC = 'events/tasks'

/** The circle as `self` sees it, whose neighbours `subscribers` are subscribed to the topic. */
const seenBy = (self: string, subscribers: readonly string[]) => {
  const { port } = createPorts().add(self)
  const gossip = { ...port.gossip, subscribers: (topic: string) => (topic === TOPIC ? [...subscribers] : []) }
  return createDirectRecipients({ self: port.self, hash: port.hash, gossip })
}

const named = (publisher: string, subscribers: readonly string[]): Uint8Array => {
  const circle = seenBy(publisher, subscribers).digestFor(TOPIC, new Set(subscribers))
  assert.ok(circle !== undefined)
  return circle
}

const without = (peers: readonly string[], ...left: string[]): string[] => peers.filter((peer) => !left.includes(peer))

const ids = (minLength: number) =>
  fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), { minLength, maxLength: 12 })

test('where all are connected to all, each receiver finds the publisher’s circle complete', () => {
  fc.assert(
    fc.property(ids(2), ids(0), ([publisher = '', ...all], alsoThere) => {
      const circle = named(publisher, all)
      assert.equal(circle.length, DIRECT_RECIPIENTS_BYTES)
      for (const receiver of all) {
        // In any order; and whether the publisher is itself subscribed, as it is where it has to be found, changes nothing.
        const others = without(all, receiver).toReversed()
        assert.ok(seenBy(receiver, others).coversAll(TOPIC, publisher, circle))
        assert.ok(seenBy(receiver, [publisher, ...others]).coversAll(TOPIC, publisher, circle))
      }
      // Who is connected and answered, and is not subscribed, is not in the circle.
      const confirmed = new Set([...all, ...alsoThere])
      assert.deepEqual(seenBy(publisher, all).digestFor(TOPIC, confirmed), circle)
    }),
  )
})

test('one peer more or less, on either side, and the circle is not complete', () => {
  fc.assert(
    fc.property(ids(4), ([publisher = '', receiver = '', more = '', ...rest]) => {
      const all = [receiver, ...rest]
      const complete = (circle: Uint8Array, others: string[]) =>
        seenBy(receiver, [publisher, ...others]).coversAll(TOPIC, publisher, circle)
      assert.ok(complete(named(publisher, all), rest))
      assert.ok(!complete(named(publisher, all), [...rest, more]), 'the receiver sees one more')
      assert.ok(!complete(named(publisher, [...all, more]), rest), 'the publisher sees one more')
      assert.ok(!complete(named(publisher, rest), rest), 'the receiver itself is not in it')
      assert.ok(!complete(named(publisher, [...rest, more]), rest), 'another is in the place of the receiver')
      for (const gone of rest) {
        assert.ok(!complete(named(publisher, all), without(rest, gone)), 'the receiver sees one less')
        assert.ok(!complete(named(publisher, without(all, gone)), rest), 'the publisher sees one less')
        assert.ok(!complete(named(publisher, all), [...without(rest, gone), more]), 'the receiver sees another')
      }
    }),
  )
})

test('while a subscriber has not confirmed, there is no circle', () => {
  fc.assert(
    fc.property(ids(2), fc.nat(), ([publisher = '', ...all], index) => {
      const unconfirmed = all[index % all.length] ?? ''
      const circle = seenBy(publisher, all)
      assert.equal(circle.digestFor(TOPIC, new Set(without(all, unconfirmed))), undefined)
      assert.ok(circle.digestFor(TOPIC, new Set(all)) !== undefined)
    }),
  )
})

test('a publisher that nobody hears reaches all of them, and a receiver is not taken for nobody', () => {
  const circle = named('publisher', [])
  assert.deepEqual(circle, new Uint8Array(DIRECT_RECIPIENTS_BYTES))
  assert.ok(!seenBy('receiver', []).coversAll(TOPIC, 'publisher', circle))
})

test('each topic has a circle of its own', () => {
  const circle = named('publisher', ['receiver', 'other'])
  const receiver = seenBy('receiver', ['other'])
  assert.ok(receiver.coversAll(TOPIC, 'publisher', circle))
  assert.ok(!receiver.coversAll('events/agents', 'publisher', circle))
})

test('it stays the same with more peers than hashes are remembered', () => {
  const all = Array.from({ length: 5000 }, (_, index) => `peer-${index}`)
  const publisher = seenBy('publisher', all)
  const circle = publisher.digestFor(TOPIC, new Set(all))
  assert.ok(circle !== undefined)
  assert.deepEqual(publisher.digestFor(TOPIC, new Set(all)), circle)
  assert.ok(seenBy('peer-7', [...without(all, 'peer-7'), 'publisher']).coversAll(TOPIC, 'publisher', circle))
})
