/** Which relay a node asks for a place, and when: a pure machine, played by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  AVOID_MS,
  noReservations,
  type ReservationsInput,
  type ReservationsState,
  stepReservations,
} from '../../../../../node/network/nat/relay-reservations.ts'

const KEPT_MS = 600_000

/** A node among relays; `near` are connected. */
const play = (wanted: number) => {
  let state: ReservationsState = noReservations
  let now = 0
  const step = (input: ReservationsInput): string | undefined => {
    const next = stepReservations(state, input, now)
    state = next.state
    return next.ask?.relay
  }
  return {
    look: (near: readonly string[], far: readonly string[] = [], count = wanted) =>
      step({
        type: 'look',
        wanted: count,
        relays: new Map([...far.map((id) => [id, false] as const), ...near.map((id) => [id, true] as const)]),
        rank: (relay) => relay.charCodeAt(0),
      }),
    granted: (relay: string, forMs = KEPT_MS) => step({ type: 'granted', relay, forMs }),
    refused: (relay: string) => step({ type: 'refused', relay }),
    lost: (relay: string) => step({ type: 'lost', relay }),
    wait(ms: number) {
      now += ms
    },
    held: () => [...state.held.keys()],
  }
}

test('it asks one relay at a time, connected ones first, until it has enough places', () => {
  const node = play(2)
  assert.equal(node.look(['b', 'c'], ['a']), 'b')
  assert.equal(node.look(['b', 'c'], ['a']), undefined, 'b has not answered')
  node.granted('b')
  assert.equal(node.look(['b', 'c'], ['a']), 'c')
  node.granted('c')
  assert.equal(node.look(['b', 'c'], ['a']), undefined)
  assert.deepEqual(node.held(), ['b', 'c'])
})

test('a relay that refused is left alone for a while, and the next one is asked', () => {
  const node = play(1)
  assert.equal(node.look(['a', 'b']), 'a')
  node.refused('a')
  assert.equal(node.look(['a', 'b']), 'b')
  node.refused('b')
  assert.equal(node.look(['a', 'b']), undefined, 'both said no')
  node.wait(AVOID_MS - 1)
  assert.equal(node.look(['a', 'b']), undefined)
  node.wait(1)
  assert.equal(node.look(['a', 'b']), 'a')
})

test('a place is asked for again half-way through, and dropped where the relay does not keep it', () => {
  const node = play(1)
  node.look(['a'])
  node.granted('a')
  node.wait(KEPT_MS / 2 - 1)
  assert.equal(node.look(['a']), undefined)
  node.wait(1)
  assert.equal(node.look(['a']), 'a')
  assert.deepEqual(node.held(), ['a'], 'it has the place meanwhile')
  node.refused('a')
  assert.deepEqual(node.held(), [])
})

test('where a relay is gone, another one takes its place', () => {
  const node = play(1)
  node.look(['a', 'b'])
  node.granted('a')
  node.lost('a')
  assert.deepEqual(node.held(), [])
  assert.equal(node.look(['b']), 'b')
})

test('a node that can be dialled after all gives its places up', () => {
  const node = play(2)
  node.look(['a'])
  node.granted('a')
  assert.equal(node.look(['a'], [], 0), undefined)
  assert.deepEqual(node.held(), [])
})

test('it never holds more than it wants, and never asks twice at a time', () => {
  const relay = fc.constantFrom('a', 'b', 'c', 'd')
  const action = fc.oneof(
    fc.record({ do: fc.constant('look' as const), near: fc.subarray(['a', 'b', 'c', 'd']) }),
    fc.record({ do: fc.constantFrom('answer' as const, 'refuse' as const) }),
    fc.record({ do: fc.constant('lost' as const), relay }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: KEPT_MS }) }),
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.array(action, { maxLength: 60 }), (wanted, actions) => {
      const node = play(wanted)
      let asked: string | undefined
      for (const one of actions) {
        if (one.do === 'look') {
          const ask = node.look(one.near)
          if (ask === undefined) continue
          assert.equal(asked, undefined, 'one at a time')
          assert.ok(one.near.includes(ask))
          asked = ask
        } else if (one.do === 'wait') node.wait(one.ms)
        else if (one.do === 'lost') node.lost(one.relay)
        else if (asked !== undefined) {
          if (one.do === 'answer') node.granted(asked)
          else node.refused(asked)
          asked = undefined
        }
        assert.ok(node.held().length <= wanted, node.held().join())
      }
    }),
  )
})
