/** Nodes are kept for one that has waited long: for which one, and which of them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PlannedBoard } from '../../support/planned-board.ts'

const DAY_MS = 86_400_000

describe('nodes are kept', () => {
  it('for the first one that could ever be granted, however many stand before it that could not', () => {
    const played = new PlannedBoard({ box: { cpu: 4 } })
    for (let i = 0; i < 100; i += 1) played.ask(`never-${i}`, { tpu: 1 + i }, { waitMs: DAY_MS })
    played.ask('small', { cpu: 1 })
    played.ask('large', { cpu: 4 }, { waitMs: DAY_MS })
    assert.deepEqual(played.step(), ['grant small'])
    played.now += 6_000
    played.ask('later', { cpu: 1 })
    assert.deepEqual(played.step(), [])
    played.release('small')
    assert.deepEqual(played.step(), ['grant large'])
  })

  it('where the least is lacking', () => {
    const played = new PlannedBoard({ a: { gpu: 2 }, b: { gpu: 2 } })
    for (const id of ['a1', 'a2', 'b1', 'b2']) played.ask(id, { gpu: 1 })
    played.step()
    assert.equal(played.journal.get('b1')?.places?.[0]?.owner, 'b')
    played.ask('large', { gpu: 2 }, { waitMs: DAY_MS })
    played.step()
    played.now += 6_000
    played.ask('small', { gpu: 1 })
    played.release('b1')
    assert.deepEqual(played.step(), [], 'b is kept, not a')
    played.release('b2')
    assert.deepEqual(played.step(), ['grant large'])
  })

  it('elsewhere after a while in which nothing came free, and not to and fro', () => {
    const played = new PlannedBoard({ a: { gpu: 2 }, b: { gpu: 2 } })
    for (const id of ['for-good', 'a2', 'b1', 'b2']) played.ask(id, { gpu: 1 })
    played.step()
    played.ask('large', { gpu: 2 }, { waitMs: DAY_MS })
    played.step()
    /** After so many milliseconds one ends at b, and another one asks for as much. */
    const passing = (ms: number, from: string, to: string): string[] => {
      played.now += ms
      played.renewAll()
      played.ask(to, { gpu: 1 })
      played.release(from)
      return played.step()
    }
    played.now += 6_000
    played.renewAll()
    played.release('a2')
    assert.deepEqual(played.step(), [], 'a is kept, where half of it is free')
    assert.deepEqual(passing(1_000, 'b1', 'b3'), ['grant b3'])
    assert.deepEqual(passing(3_999, 'b2', 'b4'), ['grant b4'])
    assert.deepEqual(passing(1, 'b3', 'b5'), ['grant b5'])
    assert.equal(played.journal.get('b5')?.places?.[0]?.owner, 'a', 'b is kept now')
    assert.deepEqual(passing(4_000, 'b4', 'b6'), ['grant large'])
  })

  it('for one gang after the other, in the order of asking', () => {
    const played = new PlannedBoard({ a: { cpu: 4 }, b: { cpu: 4 } })
    for (const id of ['s1', 's2', 's3', 's4']) played.ask(id, { cpu: 2 })
    played.step()
    const gangs = ['first', 'second', 'third']
    for (const id of gangs) played.askAll(id, [{ cpu: 3 }, { cpu: 3 }], { waitMs: DAY_MS })
    played.step()
    const granted: string[] = []
    const had = ['s1', 's2', 's3', 's4']
    for (let i = 0; i < 40; i += 1) {
      played.now += 2_000
      played.renewAll()
      played.ask(`small-${i}`, { cpu: 1 }, { waitMs: DAY_MS })
      const one = had.shift()
      if (one !== undefined) played.release(one)
      for (const said of played.step()) {
        const id = said.replace('grant ', '')
        granted.push(id)
        had.push(id)
      }
    }
    assert.deepEqual(
      granted.filter((id) => gangs.includes(id)),
      gangs,
    )
  })
})
