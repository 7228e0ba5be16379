/** What a node says to others that found a mesh, and what it takes from them: by hand, from a peer that may lie. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NetworkNode } from '../../../../node/testing/virtual/port-network.ts'
import {
  type FoundingAnnouncement,
  foundingProtocol,
  type ProposalAnswer,
} from '../../../../protocols/consensus/bootstrap/contract.ts'
import { createFoundingAnnouncements } from '../../../../protocols/consensus/bootstrap/founding-plan.ts'
import { foundedMeshId, type Proposal } from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import { memberIdOf } from '../../../../protocols/consensus/member-id.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { failureOf } from '../../../support/until.ts'
import { createFoundingMesh, type FoundingNode } from './founding-mesh.ts'

const MESH = '0123456789abcdef0123456789abcdef'

interface Stranger {
  readonly node: NetworkNode
  readonly member: string
  /** What it says of itself, and to a proposal; changed by the test. */
  standing: FoundingAnnouncement
  answer: (proposal: Proposal) => ProposalAnswer | Promise<ProposalAnswer>
  readonly proposals: Proposal[]
  ask(whom: FoundingNode, standing?: FoundingAnnouncement): Promise<FoundingAnnouncement>
  propose(whom: FoundingNode, proposal: Proposal): Promise<ProposalAnswer>
}

const never = (): Promise<never> => new Promise(() => {})

const createStrangers = (mesh: ReturnType<typeof createFoundingMesh>) => async (name: string, expect: number) => {
  const node = mesh.startBare(name)
  const member = memberIdOf(node.id, 'beef')
  const stranger: Stranger = {
    node,
    member,
    standing: { state: 'candidate', member, expect, counter: 0 },
    answer: () => ({ verdict: 'promised', member }),
    proposals: [],
    ask: (whom, standing = stranger.standing) =>
      mesh.time.settled(node.port.to(whom.node.id, foundingProtocol).ask({ standing }), 6_000),
    propose: (whom, proposal) =>
      mesh.time.settled(node.port.to(whom.node.id, foundingProtocol).propose(proposal), 6_000),
  }
  await node.port.serve(foundingProtocol, {
    ask: () => stranger.standing,
    propose: (proposal) => {
      stranger.proposals.push(proposal)
      return stranger.answer(proposal)
    },
  })
  return stranger
}

/** Names whose ids are in this order. */
const sortedNames = (count: number): string[] => {
  const { startBare } = createFoundingMesh()
  return Array.from({ length: count }, (_, i) => `n${i}`)
    .map((name) => ({ name, id: startBare(name).id }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ name }) => name)
}
const [FIRST = '', SECOND = '', THIRD = ''] = sortedNames(3)

test('proposals that cannot be are refused before anything is promised', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start('node', { expect: 2, joins: true })
  const stranger = await createStrangers(mesh)('stranger', 2)
  stranger.standing = { state: 'joiner', member: stranger.member, counter: 0 }
  const round = { counter: 7, proposer: stranger.member }
  const others = Array.from({ length: 64 }, (_, i) => memberIdOf(`other${String(i).padStart(2, '0')}`, 'ab'))
  const both = [node.member, stranger.member].toSorted()
  const bad: [string, Proposal][] = [
    ['nobody', { round, set: [] }],
    ['too many', { round, set: [...others, ...both].toSorted().slice(0, 65) }],
    ['not sorted', { round, set: both.toReversed() }],
    ['one twice', { round, set: [node.member, node.member, stranger.member].toSorted() }],
    ['a peer with two disks', { round, set: [memberIdOf(node.node.id, '00'), ...both].toSorted() }],
    ['a member that is none', { round, set: ['nonsense', ...both].toSorted() }],
    ['a proposer outside', { round: { counter: 7, proposer: others[0] ?? '' }, set: both }],
    ['a round of nobody', { round: { counter: 0, proposer: '' }, set: both }],
    ['a counter that is no number', { round: { ...round, counter: 1.5 }, set: both }],
    ['without who is asked', { round, set: [others[0] ?? '', stranger.member].toSorted() }],
    ['without who asks', { round: { counter: 7, proposer: node.member }, set: [node.member] }],
  ]
  for (const [what, proposal] of bad) {
    const failure = await failureOf(stranger.propose(node, proposal))
    assert.ok(isParleyError(failure, 'MSG001'), `${what}: ${failure}`)
    assert.equal(node.founding.status().state, 'waiting', what)
  }
  const largest = [...others.slice(0, 62), ...both].toSorted()
  assert.equal((await stranger.propose(node, { round, set: largest })).verdict, 'refused')
  const next = { counter: 8, proposer: stranger.member }
  assert.equal((await stranger.propose(node, { round: next, set: both })).verdict, 'promised')
})

test('nobody speaks for another', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start(SECOND, { expect: 2 })
  const stranger = await createStrangers(mesh)(FIRST, 2)
  const other = memberIdOf('other', 'ab')
  const bad: FoundingAnnouncement[] = [
    { ...stranger.standing, member: other },
    { ...stranger.standing, state: 'founded' },
    { ...stranger.standing, meshId: MESH },
    { state: 'founded', member: stranger.member, counter: 0, meshId: 'short' },
  ]
  for (const standing of bad) {
    const failure = await failureOf(stranger.ask(node, standing))
    assert.ok(isParleyError(failure, 'MSG001'), JSON.stringify(standing))
  }
  assert.equal(node.founding.meshId(), undefined)
  // Nor in what it answers: a refusal of one member is not for another to say.
  const three = await mesh.start(THIRD, { expect: 3 })
  const set = [three.member, stranger.member, other].toSorted()
  stranger.answer = () => ({ verdict: 'refused', member: other })
  await stranger.propose(three, { round: { counter: 1, proposer: stranger.member }, set })
  await mesh.time.run(5_000)
  assert.ok(stranger.proposals.length > 0)
  assert.deepEqual(three.founding.status().waitingFor, [stranger.member, other].toSorted())
  stranger.answer = () => ({ verdict: 'promised', member: other })
  await mesh.time.run(5_000)
  assert.equal(three.founding.status().waitingFor.length, 2)
})

test('where the first of the candidates does not propose, the next one does after a while', async () => {
  const mesh = createFoundingMesh()
  const first = await createStrangers(mesh)(FIRST, 3)
  const second = await mesh.start(SECOND, { expect: 3 })
  const third = await mesh.start(THIRD, { expect: 3 })
  const tookMs = await mesh.time.until(() => second.founding.meshId() !== undefined, 10_000)
  assert.ok(tookMs > 1_500, `${tookMs} ms: the first one had its time`)
  await mesh.time.until(() => third.founding.meshId() === second.founding.meshId(), 2_000)
  assert.deepEqual(third.founding.founded()?.members, [first.member, second.member, third.member])
  assert.equal(second.founding.counts().proposed, 1)
  assert.equal(third.founding.counts().proposed, 0)
})

test('a peer that does not answer any more, or is gone, is nobody to found with', async () => {
  const mesh = createFoundingMesh()
  const first = await createStrangers(mesh)(FIRST, 3)
  const second = await mesh.start(SECOND, { expect: 3 })
  const both = [first.member, second.member]
  await mesh.time.until(() => second.founding.status().candidates.length === 2, 100)
  await mesh.time.run(10_000)
  assert.deepEqual(second.founding.status().candidates, both)
  mesh.disconnect(first.node, second.node)
  assert.deepEqual(second.founding.status().candidates, [second.member])
  mesh.connect(first.node, second.node)
  await mesh.time.until(() => second.founding.status().candidates.length === 2, 100)
  first.standing = { ...first.standing, member: 'nonsense' }
  await mesh.time.run(5_000)
  assert.deepEqual(second.founding.status().candidates, [second.member])
  assert.ok(second.founding.counts().unanswered > 0)
})

test('one that is refused tries again, later each time, above the rounds that others have seen', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start(FIRST, { expect: 2 })
  const stranger = await createStrangers(mesh)(SECOND, 2)
  stranger.standing = { ...stranger.standing, counter: 40 }
  const times: number[] = []
  stranger.answer = () => {
    times.push(mesh.time.now())
    return { verdict: 'refused', member: stranger.member }
  }
  await mesh.time.until(() => times.length === 10, 120_000)
  const counters = stranger.proposals.map(({ round }) => round.counter)
  assert.equal(counters[0], 41)
  assert.deepEqual(
    counters,
    counters.toSorted((a, b) => a - b),
  )
  assert.equal(new Set(counters).size, counters.length)
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0))
  assert.ok((gaps.at(-1) ?? 0) > 4 * (gaps[0] ?? 0), `${gaps}`)
  assert.ok(Math.max(...gaps) < 10_000, `${gaps}`)
  stranger.answer = () => ({ verdict: 'promised', member: stranger.member })
  await mesh.time.until(() => node.founding.founded() !== undefined, 20_000)
})

test('whoever lets a promise go tells and asks all at once, so that the next attempt is soon', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start(FIRST, { expect: 2 })
  const stranger = await createStrangers(mesh)(SECOND, 2)
  stranger.answer = never
  await mesh.time.until(() => stranger.proposals.length > 0, 3_000)
  const third = await createStrangers(mesh)(THIRD, 2)
  third.standing = { ...third.standing, state: 'promised' }
  await mesh.time.run(100)
  const set = [node.member, third.member].toSorted()
  const round = { counter: 9, proposer: third.member }
  assert.equal((await third.propose(node, { round, set })).verdict, 'refused')
  stranger.answer = () => ({ verdict: 'refused', member: stranger.member })
  // Both come free, and the node learns it without waiting for its turn to ask.
  third.standing = { ...third.standing, state: 'candidate' }
  await mesh.time.until(() => node.founding.counts().released === 1, 10_000)
  stranger.answer = () => ({ verdict: 'promised', member: stranger.member })
  await mesh.time.until(() => node.founding.founded() !== undefined, 400)
})

test('a mesh that is heard of while a promise stands is adopted once the promise comes to nothing', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start(FIRST, { expect: 2 })
  const stranger = await createStrangers(mesh)(SECOND, 2)
  stranger.answer = never
  await mesh.time.until(() => node.founding.status().state === 'promised', 3_000)
  assert.deepEqual(node.founding.status().waitingFor, [stranger.member])
  assert.equal(await node.founding.adopt(MESH), 'deferred')
  await mesh.time.run(3_000)
  assert.equal(node.founding.meshId(), undefined)
  stranger.answer = () => ({ verdict: 'refused', member: stranger.member })
  await mesh.time.until(() => node.founding.meshId() === MESH, 10_000)
  assert.deepEqual([node.founding.status().state, node.told], ['adopted', [MESH]])
})

test('a promised node is told that its set was founded, and is a founder then', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start(FIRST, { expect: 2 })
  const stranger = await createStrangers(mesh)(SECOND, 2)
  stranger.answer = never
  await mesh.time.until(() => stranger.proposals.length > 0, 3_000)
  const other = await mesh.start(THIRD, { expect: 2 })
  await mesh.time.run(2_000)
  assert.match(other.founding.status().problem ?? '', /being founded by others/)
  const { set = [] } = stranger.proposals[0] ?? {}
  const meshId = foundedMeshId(node.node.port.hash, 'test', set)
  stranger.standing = { state: 'founded', member: stranger.member, counter: 1, meshId }
  assert.equal((await stranger.ask(node)).state, 'promised')
  await mesh.time.until(() => node.founding.meshId() === meshId, 1_000)
  assert.deepEqual(node.founding.founded()?.members, set)
  await mesh.time.until(() => other.founding.status().state === 'adopted', 3_000)
})

test('a member of the promised set that came back without its disk does not free anybody, and the status names it', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start(FIRST, { expect: 2 })
  const stranger = await createStrangers(mesh)(SECOND, 2)
  stranger.answer = never
  await mesh.time.until(() => stranger.proposals.length > 0, 3_000)
  const reborn = memberIdOf(stranger.node.id, 'dead')
  stranger.standing = { ...stranger.standing, member: reborn }
  stranger.answer = () => ({ verdict: 'refused', member: reborn })
  await mesh.time.run(20_000)
  const { state, waitingFor, problem } = node.founding.status()
  assert.deepEqual([state, waitingFor], ['promised', [stranger.member]])
  assert.match(problem ?? '', /without the disk that it had: peer/)
})

test('a node that answers with an error is asked again', async () => {
  const mesh = createFoundingMesh()
  const node = await mesh.start(FIRST, { expect: 2 })
  const stranger = await createStrangers(mesh)(SECOND, 2)
  stranger.answer = () => {
    if (stranger.proposals.length < 4) throw new ParleyError('STA003', 'no room')
    return { verdict: 'promised', member: stranger.member }
  }
  await mesh.time.until(() => node.founding.founded() !== undefined, 10_000)
  assert.equal(stranger.proposals.length, 4)
  assert.equal(node.founding.counts().unanswered, 3)
})

test('so many peers are remembered and no more, each for as long as what it said is fresh', () => {
  let nowMs = 0
  const announcements = createFoundingAnnouncements(() => nowMs)
  const say = (n: number): void =>
    announcements.put(`p${n}`, { state: 'candidate', member: memberIdOf(`p${n}`, 'ab'), counter: nowMs })
  for (let n = 0; n < 1_024; n += 1) say(n)
  say(0)
  assert.deepEqual([announcements.fresh().length, announcements.dropped()], [1_024, 0])
  say(1_024)
  assert.deepEqual([announcements.fresh().length, announcements.dropped()], [1_024, 1])
  announcements.forget('p5')
  say(1_024)
  assert.deepEqual([announcements.fresh().length, announcements.dropped()], [1_024, 1])
  nowMs = 2_500
  assert.equal(announcements.fresh().length, 1_024)
  nowMs = 2_501
  say(1)
  assert.deepEqual(
    announcements.fresh().map(({ counter }) => counter),
    [2_501],
  )
})
