/** Whose messages of Raft count, and what somebody without a vote can bring about: nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { raftProtocol } from '../../../../protocols/consensus/contract.ts'
import type { ProvenVoters } from '../../../../protocols/consensus/group/group-api.ts'
import { MAX_TERMS_AHEAD, senderRejection } from '../../../../protocols/consensus/group/raft-server.ts'
import { peerOf } from '../../../../protocols/consensus/member-id.ts'
import { encodeRaftPacket } from '../../../../protocols/consensus/raft/raft-codec.ts'
import {
  type Entry,
  encodeConfiguration,
  type RaftMessage,
} from '../../../../protocols/consensus/raft/raft-messages.ts'
import { createGroupMesh, type GroupMember } from '../../../support/group-mesh.ts'
import { word } from '../../../support/words.ts'

const TERM = 40
const ROLES: Readonly<Record<string, 'voter' | 'learner'>> = { 'v.00': 'voter', 'l.00': 'learner' }
const raft = { roleOf: (id: string) => ROLES[id], term: () => TERM }
const provenUpTo = (term: number, ...voters: string[]) => ({
  isVoter: (id: string) => voters.includes(id),
  term: () => term,
})

const vote = (term: number): RaftMessage => ({
  type: 'vote',
  term,
  isPre: false,
  lastIndex: 1,
  lastTerm: 1,
  isTransfer: false,
})
const appended = (term: number): RaftMessage => ({
  type: 'appended',
  term,
  index: 1,
  accepted: true,
  hintIndex: 0,
  hintTerm: 0,
  round: 0,
})

test('voters of the log and proven ones count, learners only where they answer or read, others never', () => {
  const ofVoters: RaftMessage[] = [
    vote(TERM),
    { type: 'voted', term: TERM, isPre: false, granted: true },
    { type: 'append', term: TERM, previousIndex: 0, previousTerm: 0, entries: [], commit: 0, round: 0 },
    { type: 'snapshot', term: TERM, meta: { index: 1, term: 1, configuration: { voters: ['v.00'], learners: [] } } },
    { type: 'timeout-now', term: TERM },
    { type: 'read-at', term: TERM, id: 1, index: 1 },
  ]
  const ofLearners: RaftMessage[] = [appended(TERM), { type: 'read', term: TERM, id: 1 }]
  for (const message of [...ofVoters, ...ofLearners]) {
    const isOfLearners = ofLearners.includes(message)
    assert.equal(senderRejection(raft, undefined, 'v.00', message), undefined)
    assert.equal(senderRejection(raft, provenUpTo(0, 'p.00'), 'p.00', message), undefined)
    assert.equal(senderRejection(raft, undefined, 'l.00', message), isOfLearners ? undefined : 'notAVoter')
    assert.equal(senderRejection(raft, provenUpTo(0), 'x.00', message), isOfLearners ? 'notAMember' : 'notAVoter')
  }
})

test('a learner does not move the term, and nobody moves it further than 1,000 without a proof', () => {
  assert.equal(senderRejection(raft, undefined, 'l.00', appended(TERM)), undefined)
  assert.equal(senderRejection(raft, undefined, 'l.00', appended(TERM + 1)), 'termOfALearner')
  assert.equal(MAX_TERMS_AHEAD, 1_000)
  assert.equal(senderRejection(raft, undefined, 'v.00', vote(TERM + 1_000)), undefined)
  assert.equal(senderRejection(raft, undefined, 'v.00', vote(TERM + 1_001)), 'termTooHigh')
  assert.equal(senderRejection(raft, provenUpTo(1_000_007), 'v.00', vote(1_001_007)), undefined)
  assert.equal(senderRejection(raft, provenUpTo(1_000_007), 'v.00', vote(1_001_008)), 'termTooHigh')
})

test('one that a voter names counts like a voter', () => {
  const isNamed = (id: string): boolean => id === 'n.00'
  assert.equal(senderRejection(raft, undefined, 'n.00', vote(TERM), isNamed), undefined)
  assert.equal(senderRejection(raft, undefined, 'n.00', vote(TERM + 1_001), isNamed), 'termTooHigh')
  assert.equal(senderRejection(raft, undefined, 'x.00', vote(TERM), isNamed), 'notAVoter')
})

const nothingProven = (isEnforced: boolean): ProvenVoters & { readonly asked: string[] } => {
  const asked: string[] = []
  return {
    asked,
    isVoter: () => false,
    term: () => 0,
    requestProof: (member, why) => void asked.push(`${member} ${why}`),
    isEnforced: () => isEnforced,
  }
}

const command = (index: number, term: number, text: string): Entry => ({
  index,
  term,
  kind: 'command',
  data: new TextEncoder().encode(text),
})

/** A mesh of three with a leader, and a fourth node that is connected to all and has no seat. */
const withStranger = async (proven: ProvenVoters | undefined) => {
  const mesh = createGroupMesh({ ...(proven !== undefined && { proven }) })
  await mesh.found(3)
  const leader = await mesh.untilLeader()
  await mesh.time.settled(leader.group.propose(word('one')), 500)
  // The others hear that it is committed.
  await mesh.time.run(300)
  const stranger = mesh.join('stranger')
  const say = (to: GroupMember, message: RaftMessage, from = `${stranger.id}.66`): void =>
    void stranger.port
      .to(peerOf(to.id), raftProtocol)
      .step(encodeRaftPacket({ group: 'test', from, to: to.id, message }))
      .catch(() => {})
  const settle = (): Promise<void> => mesh.time.run(300)
  return { mesh, leader, stranger, say, settle }
}

test('a member without a seat changes nothing: no term, no entry, no configuration, no leader', async () => {
  const proven = nothingProven(true)
  const { mesh, leader, stranger, say, settle } = await withStranger(proven)
  const before = leader.group.status()
  const alone = encodeConfiguration({ voters: [`${stranger.id}.66`], learners: [] })
  for (const member of mesh.members.values()) {
    const { term, lastIndex, lastTerm, commit } = member.group.status()
    const append = (at: number, previousTerm: number, entries: Entry[], inTerm = term): RaftMessage => ({
      type: 'append',
      term: inTerm,
      previousIndex: at,
      previousTerm,
      entries,
      commit: at + entries.length,
      round: 0,
    })
    say(member, append(lastIndex, lastTerm, [command(lastIndex + 1, term, 'forged')]))
    say(member, append(lastIndex, lastTerm, [{ index: lastIndex + 1, term, kind: 'configuration', data: alone }]))
    say(member, append(commit - 1, 1, [command(commit, term, 'forged')]))
    say(member, append(lastIndex, lastTerm, [], 2 ** 50))
    say(member, { type: 'vote', term: term + 1, isPre: false, lastIndex: 99, lastTerm: term, isTransfer: true })
    say(member, { type: 'timeout-now', term })
    say(member, {
      type: 'snapshot',
      term,
      meta: { index: 99, term, configuration: { voters: ['x.00'], learners: [] } },
    })
  }
  await settle()
  const after = leader.group.status()
  assert.deepEqual([after.term, after.role, after.configuration], [before.term, 'leader', before.configuration])
  for (const { failures, words, group } of mesh.members.values()) {
    assert.deepEqual(failures, [])
    assert.deepEqual(words, ['one'])
    assert.equal(group.counts().notAVoter, 7)
    assert.equal(group.counts().contradictions, 0)
  }
  assert.ok(proven.asked.every((one) => one === `${stranger.id}.66 voter`))
})

test('before proofs are enforced a message counts as it did, and what would be refused is counted', async () => {
  const { leader, say, settle } = await withStranger(nothingProven(false))
  const { term, lastIndex, lastTerm } = leader.group.status()
  say(leader, {
    type: 'append',
    term: term + 1,
    previousIndex: lastIndex,
    previousTerm: lastTerm,
    entries: [],
    commit: 0,
    round: 0,
  })
  await settle()
  assert.equal(leader.group.counts().notAVoter, 1)
  assert.ok(leader.group.status().term > term)
})

test('a voter that claims to lead the same term, or has another entry where one is committed, stops nobody', async () => {
  const { mesh, leader, say, settle } = await withStranger(undefined)
  const { term, commit } = leader.group.status()
  const append: RaftMessage = {
    type: 'append',
    term,
    previousIndex: commit - 1,
    previousTerm: term,
    entries: [command(commit, term, 'another')],
    commit,
    round: 0,
  }
  for (const member of mesh.members.values()) say(member, append)
  // In the next term it is followed, and its log is not taken.
  const follower = [...mesh.members.values()].find((member) => member !== leader)
  assert.ok(follower)
  say(follower, { ...append, term: term + 1, previousTerm: 1, entries: [command(commit, term + 1, 'another')] })
  await settle()
  for (const { failures, words, group } of mesh.members.values()) {
    assert.deepEqual(failures, [])
    assert.deepEqual(words, ['one'])
    assert.ok(group.counts().contradictions >= 1)
  }
  const alarms = leader.logs.filter(({ level, message }) => level === 'error' && message.includes('contradicts'))
  assert.equal(alarms.length, 1)
  const next = await mesh.untilLeader()
  assert.equal(await mesh.time.settled(next.group.propose(word('two')), 2_000), 2)
})

test('who speaks in the name of another member is not heard', async () => {
  const { mesh, leader, say, settle } = await withStranger(nothingProven(true))
  const [other] = [...mesh.members.values()].filter((member) => member !== leader)
  assert.ok(other)
  say(leader, vote(leader.group.status().term + 1), other.id)
  await settle()
  assert.equal(leader.group.counts().dropped, 1)
  assert.equal(leader.group.status().role, 'leader')
})

test('snapshots are read for members of the group only', async () => {
  const { mesh, leader, stranger } = await withStranger(undefined)
  const read = async (): Promise<void> => {
    for await (const _ of stranger.port.to(peerOf(leader.id), raftProtocol).fetch({ group: 'test', index: 1, term: 1 }))
      break
  }
  await assert.rejects(mesh.time.settled(read(), 500), { code: 'STA003', message: /members of the group/ })
})

test('a new voter is elected by those who have not heard of it, once a voter names it', async () => {
  const founders = new Set<string>()
  const mesh = createGroupMesh({ proven: { ...nothingProven(true), isVoter: (id) => founders.has(id) } })
  for (const { id } of await mesh.found(3)) founders.add(id)
  const leader = await mesh.untilLeader()
  const [near, away] = [...mesh.members.values()].filter((member) => member !== leader)
  assert.ok(near && away)
  await mesh.time.settled(leader.group.propose(word('first')), 1_000)
  await mesh.time.run(300)
  mesh.kill(away)
  const fresh = await mesh.start('fresh')
  const { voters } = leader.group.status().configuration
  await mesh.time.settled(leader.group.change({ voters, learners: [fresh.id] }), 2_000)
  await mesh.time.run(300)
  await mesh.time.settled(leader.group.change({ voters: [...voters, fresh.id], learners: [] }), 2_000)
  await mesh.time.run(200)
  // Only the new voter hears the last word of a leader that dies for good: nobody else can have its vote.
  mesh.cut([leader], [near])
  leader.group.propose(word('last')).catch(() => {})
  await mesh.time.run(10)
  assert.ok(fresh.group.status().lastIndex > near.group.status().lastIndex)
  mesh.kill(leader)
  const back = await mesh.start(away.name)
  assert.ok(!back.group.status().configuration.voters.includes(fresh.id))
  const next = await mesh.untilLeader(10_000)
  assert.equal(next.id, fresh.id)
  await mesh.time.until(() => mesh.agree(2), 5_000)
  assert.ok(back.group.counts().notAVoter > 0, 'it did not count before it was named')
})

test('the word of whoever is no voter makes nobody one', async () => {
  const { mesh, leader, stranger, say, settle } = await withStranger(nothingProven(true))
  const self = `${stranger.id}.66`
  const { term, commit, configuration } = leader.group.status()
  const placed = { index: commit + 1, configuration: { voters: [...configuration.voters, self], learners: [] } }
  const flags = { isPre: false, isTransfer: false }
  const standing: RaftMessage = { type: 'vote', term: term + 1, lastIndex: 99, lastTerm: term, ...flags, placed }
  for (const member of mesh.members.values()) for (let times = 0; times < 3; times += 1) say(member, standing)
  await settle()
  for (const { group } of mesh.members.values()) assert.equal(group.counts().notAVoter, 3)
  assert.equal(leader.group.status().term, term)
})

test('a voter that votes no more names nobody', async () => {
  const voters = new Set<string>()
  const { mesh, leader, stranger, say, settle } = await withStranger({
    ...nothingProven(true),
    isVoter: (id) => voters.has(id),
  })
  const self = `${stranger.id}.66`
  const other = mesh.join('other')
  const named = `${other.id}.66`
  const { term, commit } = leader.group.status()
  const placed = { index: commit + 1, configuration: { voters: [self, named], learners: [] } }
  const refusedOfNamed = async (): Promise<number> => {
    const before = leader.group.counts().notAVoter
    const message: RaftMessage = { type: 'voted', term, isPre: true, granted: true }
    await mesh.time.settled(
      other.port
        .to(peerOf(leader.id), raftProtocol)
        .step(encodeRaftPacket({ group: 'test', from: named, to: leader.id, message })),
      500,
    )
    await settle()
    return leader.group.counts().notAVoter - before
  }
  voters.add(self)
  say(leader, { type: 'vote', term, isPre: true, lastIndex: commit, lastTerm: term, isTransfer: false, placed })
  await settle()
  assert.equal(await refusedOfNamed(), 0)
  voters.delete(self)
  assert.equal(await refusedOfNamed(), 1)
  // What it said before it was voted out is not remembered.
  voters.add(self)
  assert.equal(await refusedOfNamed(), 1)
  assert.equal(leader.group.status().term, term)
})
