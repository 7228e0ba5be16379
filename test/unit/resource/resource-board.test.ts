/** What the coordinator wants decided, from what there is and what time it is. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Demand } from '../../../protocols/resource/planner/demands.ts'
import { LEASE_MARGIN_MS, LEASE_MS } from '../../../protocols/resource/planner/resource-board.ts'
import { PlannedBoard } from '../../support/planned-board.ts'
import { LEADER } from '../../support/resource-journal.ts'

describe('the board', () => {
  it('grants by priority, then in the order of asking, and asks for nothing twice', () => {
    const played = new PlannedBoard()
    for (const [id, priority] of [
      ['a', 1],
      ['b', 1],
      ['c', 3],
      ['d', 0],
    ] as const)
      played.ask(id, { cpu: 2 }, { priority })
    played.read()
    const first = played.wanted()
    assert.deepEqual(
      first.map((change) => ('id' in change ? change.id : '')),
      ['c', 'a'],
    )
    assert.deepEqual(played.wanted(), [], 'what was asked for counts already')
    for (const change of first) assert.equal(played.journal.one(LEADER, change), null)
    played.read()
    for (const change of first) played.board.answered(change)
    assert.deepEqual(played.step(), [])
    played.release('c')
    assert.deepEqual(played.step(), ['grant b'])
  })

  it('denies at its time, and says whether it could ever be had', () => {
    const played = new PlannedBoard()
    played.ask('a', { cpu: 4 })
    assert.deepEqual(played.step(), ['grant a'])
    played.ask('late', { cpu: 1 }, { waitMs: 1_000 })
    played.ask('never', { cpu: 5 }, { waitMs: 1_000 })
    played.ask('now', { gpu: 1 }, { waitMs: 0 })
    assert.deepEqual(played.step(), ['deny now'])
    assert.equal(played.board.nextDueAt(), 2_000)
    played.now = 2_000
    assert.deepEqual(played.step(), ['deny late', 'deny never'])
    assert.equal(played.journal.get('late')?.reason, 'all-in-use')
    assert.equal(played.journal.get('never')?.reason, 'no-such-capacity')
    played.now = 62_001
    for (const peer of ['ann', 'box']) {
      const { registration = 0 } = played.journal.node(peer) ?? {}
      played.journal.at = played.now
      played.journal.one(peer, { do: 'renew', registration })
    }
    assert.deepEqual(played.step(), ['forget'])
    assert.equal(played.journal.get('late'), undefined)
  })

  it('lets small ones pass a large one for a while, then keeps for it what comes free', () => {
    const played = new PlannedBoard()
    for (const id of ['a', 'b']) played.ask(id, { cpu: 2 })
    played.step()
    played.ask('large', { cpu: 4 })
    played.ask('huge', { cpu: 9 })
    played.ask('small', { cpu: 2 })
    played.release('a')
    assert.deepEqual(played.step(), ['grant small'])
    played.now += 6_000
    played.ask('later', { cpu: 1 })
    played.release('small')
    assert.deepEqual(played.step(), [], 'it is kept, and not for what could never fit')
    played.ask('other', { gpu: 1 }, { waitMs: 0 })
    assert.deepEqual(played.step(), ['deny other'], 'of other resources')
    played.release('b')
    assert.deepEqual(played.step(), ['grant large'])
  })

  it('tries everybody once before it tries anybody again, however much changes meanwhile', () => {
    const played = new PlannedBoard()
    for (let i = 0; i < 600; i += 1) played.ask(`never-${i}`, { cpu: 5 + i }, { priority: 3 })
    played.ask('modest', { cpu: 1 }, { priority: 0 })
    // Each step reads all nodes anew.
    const said = [played.step(), played.step(), played.step()]
    assert.deepEqual(said.flat(), ['grant modest'])
  })

  it('keeps for one that waits long the nodes alone that could give it', () => {
    const played = new PlannedBoard()
    played.journal.register('bay', { cpu: 2 })
    played.ask('a', { cpu: 3 })
    played.ask('b', { cpu: 1 })
    played.step()
    played.ask('large', { cpu: 4 })
    played.step()
    played.now += 6_000
    // At bay there is room, and at box what comes free is for the large one.
    played.ask('c', { cpu: 1 })
    assert.deepEqual(played.step(), ['grant c'])
    assert.equal(played.journal.get('c')?.places?.[0]?.owner, 'bay')
    played.ask('d', { cpu: 2 })
    played.release('a')
    assert.deepEqual(played.step(), [], 'the large one waits for b, and d for the large one')
    played.release('b')
    assert.deepEqual(played.step(), ['grant large'])
  })

  it('ends what rests on a node that was not renewed, then lets it go', () => {
    const played = new PlannedBoard()
    played.ask('a', { cpu: 1 })
    played.step()
    played.now += LEASE_MS + LEASE_MARGIN_MS
    assert.deepEqual(played.step(), [])
    const { registration = 0 } = played.journal.node('ann') ?? {}
    played.journal.at = played.now
    played.journal.one('ann', { do: 'renew', registration })
    played.read()
    played.now += 1
    assert.deepEqual(played.step(), ['dismiss box'])
    assert.deepEqual(played.step(), ['expire a'])
    assert.equal(played.journal.get('a')?.reason, 'owner-lost: box')
    assert.deepEqual(played.step(), ['dismiss box'])
    assert.equal(played.journal.node('box'), undefined)
  })

  it('ends others for one that preempts, and only then', () => {
    const played = new PlannedBoard()
    played.ask('low', { cpu: 3 }, { priority: 0, preemptible: true })
    played.step()
    played.ask('polite', { cpu: 2 }, { priority: 3 })
    assert.deepEqual(played.step(), [])
    played.ask('high', { cpu: 2 }, { priority: 2, preempts: true })
    assert.deepEqual(played.step(), ['grant high'])
    assert.equal(played.journal.get('low')?.status, 'preempted')
  })
})

describe('what tasks demand', () => {
  const demandOf = (played: PlannedBoard, task: string, cpu: number, more: Partial<Demand> = {}) => {
    const told: string[] = []
    const demand: Demand = {
      ...{ task, priority: 1, units: { cpu }, since: played.now, shape: `sum ${cpu}` },
      free: () => ['box'],
      isFree: () => true,
      all: () => ['box'],
      chosen: (peer) => told.push(`chosen ${peer}`),
      answered: (_id, isAssigned) => told.push(isAssigned ? 'assigned' : 'not assigned'),
      ...more,
    }
    played.board.addDemand(demand)
    return told
  }

  it('is planned in one order with what programs ask for', () => {
    const played = new PlannedBoard()
    played.ask('a', { cpu: 2 })
    played.read()
    const told = demandOf(played, 't', 2)
    played.ask('late', { cpu: 1 })
    assert.deepEqual(played.step(), ['grant a', 'assign task-0'])
    assert.deepEqual(told, ['chosen box', 'assigned'])
    assert.equal(played.journal.get('task-0')?.task, 't')
    assert.deepEqual(played.step(), [])
    played.journal.one(LEADER, { do: 'unassign', epoch: 1, id: 'task-0' })
    played.board.setAllocation('task-0', undefined)
    assert.deepEqual(played.step(), ['grant late'])
  })

  it('is given at nodes alone that would work on it now', () => {
    const played = new PlannedBoard()
    let free: string[] = []
    played.read()
    const told = demandOf(played, 't', 1, { free: () => free })
    assert.deepEqual(played.wanted(), [])
    free = ['box']
    assert.deepEqual(played.wanted(), [], 'it does not fit, for all that is known')
    played.board.lookAgain()
    assert.deepEqual(played.step(), ['assign task-0'])
    assert.deepEqual(told, ['chosen box', 'assigned'])
  })

  it('says why it is not given, and is not given once nobody wants it', () => {
    const played = new PlannedBoard()
    played.read()
    const demand = {
      task: 't',
      priority: 1,
      since: 0,
      shape: 's',
      free: () => ['box'],
      isFree: () => true,
      all: () => ['box'],
    }
    const rest = { chosen() {}, answered() {} }
    assert.equal(played.board.whyNot({ ...demand, ...rest, shape: '4', units: { cpu: 4 } }), 'all-in-use')
    assert.equal(played.board.whyNot({ ...demand, ...rest, shape: '5', units: { cpu: 5 } }), 'no-such-capacity')
    assert.equal(
      played.board.whyNot({ ...demand, ...rest, shape: '1', units: { cpu: 1 }, all: () => [] }),
      'no-such-capacity',
    )
    demandOf(played, 't', 1)
    played.board.deleteDemand('t')
    assert.deepEqual(played.step(), [])
  })

  it('that was overtaken for long keeps what comes free, of programs too', () => {
    const played = new PlannedBoard()
    played.ask('a', { cpu: 3 })
    played.step()
    const told = demandOf(played, 't', 4)
    assert.deepEqual(played.step(), [])
    played.now += 6_000
    played.ask('small', { cpu: 1 })
    assert.deepEqual(played.step(), [])
    played.release('a')
    assert.deepEqual(played.step(), ['assign task-0'])
    assert.deepEqual(told, ['chosen box', 'assigned'])
  })

  it('that was refused, or is followed by nobody any more, is told', () => {
    const played = new PlannedBoard()
    const told = demandOf(played, 't', 2)
    played.read()
    const [assign] = played.wanted()
    assert.ok(assign?.do === 'assign')
    played.board.answered(assign)
    assert.deepEqual(told, ['chosen box', 'not assigned'])
    const others = demandOf(played, 't2', 2)
    played.wanted()
    played.board.end()
    assert.deepEqual(others, ['chosen box', 'not assigned'])
  })
})
