/** A group of three processes with their logs on disk: killed, frozen, killed together, and what was answered stays. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { endProcesses, type Peer, RemoteFailure, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const NAMES = ['one', 'two', 'three']
// Its group is the test's own.
const common = {
  mesh: 'decides',
  coordination: { voter: 'never' as const },
  secret: makeSecret(),
  timings: { backoffMinMs: 100, backoffMaxMs: 1_000 },
}

interface Member {
  readonly name: string
  peer: Peer
}

describe('a group of three processes', { timeout: 120_000 }, () => {
  let folder = ''
  const members: Member[] = []
  const answered: string[] = []
  let serial = 0

  const startMember = async (name: string): Promise<Peer> => {
    const join_ = members.filter(({ name: other }) => other !== name).flatMap(({ peer }) => peer.addresses)
    return startPeer({ ...common, name, dataDir: join(folder, name), join: join_ }, { serve: false })
  }
  const enter = ({ name, peer }: Member, founders?: string[]): Promise<void> =>
    peer.ask('group', { folder: join(folder, name, 'group'), snapshotEvery: 50, ...(founders && { founders }) })

  const leaderAmong = async (some: readonly Member[]): Promise<Member | undefined> => {
    const facts = await Promise.all(some.map(({ peer }) => peer.ask('groupFacts', undefined)))
    const leading = some
      .map((member, i) => ({ member, term: facts[i]?.role === 'leader' ? facts[i].term : -1 }))
      .filter(({ term }) => term >= 0)
    return leading.toSorted((a, b) => b.term - a.term)[0]?.member
  }

  /** Whoever of them leads decides another word; the milliseconds until it was answered. */
  const decide = async (some: readonly Member[]): Promise<number> => {
    const startedAt = performance.now()
    serial += 1
    for (;;) {
      const leader = await until('somebody leads', () => leaderAmong(some), 15_000)
      const text = `word ${serial}`
      try {
        await leader.peer.ask('propose', { text })
        answered.push(text)
        return performance.now() - startedAt
      } catch (error) {
        // It may be decided all the same: another word is tried, so that each is there once.
        if (!(error instanceof RemoteFailure)) throw error
        serial += 1
      }
    }
  }

  const agree = async (): Promise<void> => {
    await until(
      'all have the same words',
      async () => {
        const facts = await Promise.all(members.map(({ peer }) => peer.ask('groupFacts', undefined)))
        return new Set(facts.map(({ words }) => words.join())).size === 1
      },
      15_000,
    )
    const [first] = await Promise.all(members.map(({ peer }) => peer.ask('groupFacts', undefined)))
    for (const text of answered)
      assert.equal(first?.words.filter((one) => one === text).length, 1, `${text} is there once`)
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-group-'))
    for (const name of NAMES) members.push({ name, peer: await startMember(name) })
    const ids = members.map(({ peer }) => peer.id)
    await Promise.all(members.map((member) => enter(member, ids)))
  })
  after(async () => {
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('decides, and all apply the same', async () => {
    for (let i = 0; i < 60; i += 1) await decide(members)
    await agree()
  })

  it('goes on within a moment when its leader is killed, who comes back from its disk', async (t) => {
    const took: number[] = []
    for (let round = 0; round < 6; round += 1) {
      const leader = await until('somebody leads', () => leaderAmong(members), 15_000)
      const others = members.filter((member) => member !== leader)
      await leader.peer.kill()
      took.push(await decide(others))
      leader.peer = await startMember(leader.name)
      await enter(leader)
      for (let i = 0; i < 5; i += 1) await decide(members)
    }
    t.diagnostic(`kill to the next answer: ${took.map((ms) => Math.round(ms)).join(', ')} ms`)
    assert.ok(Math.max(...took) < 6_000, `${took.map(Math.round)}`)
    await agree()
  })

  it('does not hear a leader that was frozen, when it wakes', async () => {
    const leader = await until('somebody leads', () => leaderAmong(members), 15_000)
    const others = members.filter((member) => member !== leader)
    leader.peer.freeze()
    await decide(others)
    const next = await leaderAmong(others)
    leader.peer.thaw()
    await decide(members)
    await agree()
    assert.equal((await leaderAmong(members))?.name, next?.name, 'the one that woke up does not take over')
  })

  it('has everything when all are killed at once and started again', async () => {
    const words = members.map(({ peer }) => peer)
    const going = decide(members).catch(() => {})
    await Promise.all(words.map((peer) => peer.kill()))
    await going
    for (const member of members) member.peer = await startMember(member.name)
    await Promise.all(members.map((member) => enter(member)))
    await decide(members)
    await agree()
  })

  it('is handed over without waiting for an election', async () => {
    const leader = await until('somebody leads', () => leaderAmong(members), 15_000)
    await leader.peer.ask('transfer', {})
    const others = members.filter((member) => member !== leader)
    await until('another one leads', () => leaderAmong(others), 2_000)
    await decide(members)
    await agree()
  })
})
