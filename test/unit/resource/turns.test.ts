/** Who waits is tried within a bounded number of steps a look, each holder in its turn. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { planGrant } from '../../../protocols/resource/planner/placement.ts'
import { TriedShapes, Turns } from '../../../protocols/resource/planner/turns.ts'
import type { Waiting } from '../../../protocols/resource/planner/waiting-line.ts'
import { isOpen } from '../../../protocols/resource/resource-record.ts'
import { PlannedBoard } from '../../support/planned-board.ts'

const STEPS = 80_000

describe('turns', () => {
  it('a look begins nothing more after its steps, and no holder takes more than half of them', () => {
    const turns = new Turns()
    turns.begin()
    assert.ok(turns.may('ann', 1))
    turns.took('ann', STEPS / 2 - 1)
    assert.ok(turns.may('ann', 1), 'one step is left')
    turns.took('ann', 1)
    assert.equal(turns.isBehind(), false)
    assert.equal(turns.may('ann', 1), false)
    assert.ok(turns.isBehind())
    assert.ok(turns.may('bob', 1), 'others go on')
    turns.took('bob', STEPS / 2)
    assert.equal(turns.may('cid', 1), false, 'the steps of the look are used up')
    turns.begin()
    assert.equal(turns.isBehind(), false)
    assert.ok(turns.may('cid', 1))
  })

  it('who took more than its share waits until that is made up for', () => {
    const turns = new Turns()
    turns.begin()
    assert.ok(turns.may('ann', 1))
    turns.took('ann', 2 * STEPS)
    let looks = 0
    for (; !turns.may('ann', 1); looks += 1) turns.begin()
    // A look has half of the steps for it.
    assert.equal(looks, 4)
  })

  it('what was tried is tried again after all others of its holder', () => {
    const turns = new Turns()
    turns.begin()
    assert.ok(turns.may('ann', 1), 'the first one')
    turns.took('ann', STEPS)
    assert.equal(turns.may('ann', 1), false, 'the second one')
    turns.begin()
    assert.equal(turns.may('ann', 2), false, 'its steps are to be made up for')
    turns.begin()
    assert.equal(turns.may('ann', 2, 1), false, 'the first one, though something has changed')
    assert.ok(turns.may('ann', 2), 'the second one')
    assert.ok(turns.isBehind())
    turns.begin()
    assert.ok(turns.may('ann', 2, 1), 'the first one')
  })

  it('who asks for little is tried soon, however many take many steps again in each look', () => {
    for (const [count, cost] of [
      [1, 90_000],
      [2, 40_000],
      [3, 30_000],
      [4, 26_000],
      [8, 13_000],
      [40, 2_500],
    ] as const) {
      const turns = new Turns()
      const isTried = (look: number): boolean => {
        turns.begin()
        for (let i = 0; i < count; i += 1) {
          const triedIn = look === 0 ? undefined : look - 1
          if (turns.may(`greedy-${i}`, look, triedIn)) turns.took(`greedy-${i}`, cost)
        }
        return turns.may('modest', look)
      }
      let looks = 0
      while (!isTried(looks) && looks < 1_000) looks += 1
      assert.ok(looks <= 4 + count, `${count} of ${cost}: ${looks} looks`)
    }
  })

  it('what so many took is made up for while others wait, and of more is forgotten', () => {
    const most = 4_096
    const turns = new Turns()
    turns.begin()
    for (let i = 0; i <= most; i += 1) assert.ok(turns.may(`h-${i}`, 1))
    for (let i = 0; i <= most; i += 1) turns.took(`h-${i}`, STEPS)
    assert.equal(turns.may('modest', 1), false)
    turns.begin()
    assert.equal(turns.may(`h-${most - 1}`, 2), false)
    assert.ok(turns.may(`h-${most}`, 2))
  })

  it('nothing has to be made up for once nobody waits for it', () => {
    const turns = new Turns()
    turns.begin()
    turns.took('ann', 0)
    assert.ok(turns.may('ann', 1))
    turns.took('ann', STEPS)
    turns.begin()
    assert.ok(turns.may('ann', 2, 1))
  })
})

describe('shapes that were tried', () => {
  const waiting = (shape: string): Waiting => ({
    ...{ id: shape, holder: 'ann', shape, priority: 1, since: 0, names: new Set<string>() },
    wanted: { priority: 1, parts: [{ units: {} }] },
  })

  it('are known with the state that they did not fit in', () => {
    const tried = new TriedShapes()
    const [one, other] = [waiting('1'), waiting('2')]
    tried.doesNotFit(one, false)
    tried.doesNotFit(other, true)
    assert.equal(tried.triedIn(one, true), tried.stateFor(one), 'nor among those that are not kept')
    assert.equal(tried.triedIn(other, true), tried.stateFor(other))
    assert.equal(tried.triedIn(other, false), undefined)
    tried.keptChanged()
    assert.equal(tried.triedIn(other, true), undefined)
    tried.tasksChanged()
    assert.equal(tried.triedIn(one, false), tried.stateFor(one), 'it is no task')
    tried.changed()
    assert.ok((tried.triedIn(one, false) ?? 0) < tried.stateFor(one))
  })

  it('are forgotten once nobody wants them and there are many', () => {
    const tried = new TriedShapes()
    for (let i = 0; i < 2_050; i += 1) tried.doesNotFit(waiting(`${i}`), false)
    tried.begin(1, [waiting('7')])
    assert.ok(tried.triedIn(waiting('8'), false), 'up to as many')
    tried.doesNotFit(waiting('one more'), false)
    tried.begin(1, [waiting('7')])
    assert.ok(tried.triedIn(waiting('7'), false))
    assert.equal(tried.triedIn(waiting('8'), false), undefined)
  })
})

describe('the board', () => {
  /** One more than there are nodes, and no node gives two of them. */
  const noPacking = (nodes: number, i: number) =>
    Array.from({ length: nodes + 1 }, (_, k) => ({ cpu: 560 + (k % 3) + i, memory: 1 + k }))
  const many = (played: PlannedBoard): void => {
    for (let i = 0; i < 20; i += 1)
      played.askAll(`hard-${i}`, noPacking(20, i), { priority: 3, preempts: true }, 'mallory')
  }
  const crowded = (): PlannedBoard => {
    const boxes = Array.from({ length: 20 }, (_, i) => [`box-${i}`, { cpu: 1_100, memory: 9_999 }] as const)
    const played = new PlannedBoard({ mallory: {}, gpu: { gpu: 1 }, ...Object.fromEntries(boxes) })
    for (let i = 0; i < 200; i += 1) played.ask(`low-${i}`, { cpu: 50 }, { priority: 0, preemptible: true }, 'mallory')
    played.steps()
    return played
  }

  it('tries what takes little of one holder soon, whatever another one asks for', () => {
    const played = crowded()
    many(played)
    played.ask('modest', { gpu: 1 }, { priority: 0 })
    const said = [played.step(), played.step(), played.step()]
    assert.deepEqual(said.flat(), ['grant modest'])
    assert.ok(played.board.isBehind(), 'the rest is tried later')
  })

  it('denies only what was tried, and by the state of things', () => {
    const played = crowded()
    many(played)
    for (let i = 0; i < 20; i += 1)
      played.askAll(`due-${i}`, noPacking(20, 100 + i), { priority: 2, waitMs: 0 }, 'mallory')
    played.ask('last', { gpu: 1 }, { priority: 0, waitMs: 0 }, 'mallory')
    const said = played.step()
    assert.ok(played.board.isBehind())
    assert.ok(!said.includes('deny last'), 'it was not tried')
    const rest = played.steps()
    assert.ok(rest.includes('grant last'))
    assert.equal([...said, ...rest].filter((one) => one.startsWith('deny due-')).length, 20)
  })

  it('tries nothing again because a node was renewed, or gives less', () => {
    const played = new PlannedBoard({ box: { cpu: 4 } })
    let looks = 0
    const demand = { task: 't', priority: 1, units: { cpu: 5 }, since: played.now, shape: 's', isFree: () => true }
    const free = (): string[] => {
      looks += 1
      return ['box']
    }
    const rest = { chosen() {}, answered() {} }
    played.board.addDemand({ ...demand, ...rest, free, all: () => ['box'] })
    played.step()
    const before = looks
    played.now += 1_000
    played.renewAll()
    played.step()
    assert.equal(looks, before)
    played.journal.register('box', { cpu: 5 }, 1)
    assert.deepEqual(played.step(), ['assign task-0'])
  })

  it('leaves nobody waiting who could be granted, whatever happens', () => {
    const peers = ['ann', 'bob', 'cid']
    const units = fc.dictionary(fc.constantFrom('cpu', 'gpu'), fc.integer({ min: 1, max: 6 }), {
      ...{ minKeys: 1, noNullPrototype: true },
    })
    const ask = fc.record({
      ...{ what: fc.constant('ask' as const), by: fc.constantFrom(...peers), priority: fc.nat(3) },
      ...{ parts: fc.array(units, { minLength: 1, maxLength: 3 }), spread: fc.boolean() },
      ...{ preemptible: fc.boolean(), preempts: fc.boolean() },
    })
    const release = fc.record({ what: fc.constant('release' as const), n: fc.nat(30) })
    const offer = fc.record({
      ...{ what: fc.constant('offer' as const), by: fc.constantFrom(...peers), draining: fc.boolean() },
      capacity: fc.record({ cpu: fc.integer({ min: 4, max: 9 }), gpu: fc.nat(5) }),
    })
    const event = fc.oneof(
      { weight: 5, arbitrary: ask },
      { weight: 3, arbitrary: release },
      { arbitrary: offer, weight: 1 },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const played = new PlannedBoard({ bob: { cpu: 6, gpu: 2 }, cid: { cpu: 6 } })
        const { journal } = played
        for (const [i, one] of events.entries()) {
          if (one.what === 'ask') {
            const { what: _what, by, parts, ...more } = one
            played.askAll(`a${i}`, parts, more, by)
          } else if (one.what === 'release') {
            const open = [...journal.allocations()].filter(([, found]) => isOpen(found))
            const [id, found] = open[one.n % Math.max(1, open.length)] ?? []
            if (id !== undefined && found !== undefined) played.release(id, found.holder)
          } else {
            const { by, capacity, draining } = one
            journal.one(by, { do: 'register', incarnation: 1, capacity, draining })
          }
          played.steps()
          const all = [...journal.allocations()]
          const victims = all.flatMap(([id, had]) =>
            had.fence === undefined ? [] : [{ ...had, id, fence: had.fence }],
          )
          for (const [id, waiting] of all)
            if (waiting.status === 'waiting')
              assert.equal(planGrant(waiting, journal.nodes(), victims), undefined, `${id} could be granted`)
        }
      }),
      { numRuns: 100 },
    )
  })
})
