/** Coalitions between processes over loopback TCP: formed, led and dissolved, whoever of coordinator, leader and members is killed. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type CoalitionStatus, createMesh, isParleyError, type Mesh, makeSecret } from '../../node/index.ts'
import { coordinationProtocol } from '../../protocols/coordination/contract.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

const DAY_MS = 86_400_000
const GONE_MS = 30_000
const NAMES = ['one', 'two', 'three', 'four', 'five']

describe('coalitions, between processes', { timeout: 240_000 }, () => {
  const secret = makeSecret()
  const peers: Peer[] = []
  const nameOf = new Map<string, string>()
  let folder = ''
  let ann: Mesh

  const start = async (name: string): Promise<Peer> => {
    const peer = await startPeer(
      {
        ...{ name, secret, dataDir: join(folder, name), coordination: { expect: NAMES.length } },
        join: peers.flatMap(({ addresses }) => addresses),
      },
      { serve: false },
    )
    await peer.ask('joinCoalitions', undefined)
    nameOf.set(peer.id, name)
    return peer
  }
  const coordinator = (): Peer => {
    const found = peers.find(({ id }) => id === ann.coordinator.status().leader)
    assert.ok(found, 'one of them coordinates')
    return found
  }
  /** Three that do not coordinate. */
  const trio = (): [Peer, Peer, Peer] => {
    const [one, two, three] = peers.filter((peer) => peer !== coordinator())
    assert.ok(one && two && three)
    return [one, two, three]
  }
  const idsOf = (all: readonly Peer[]): string[] => all.map(({ id }) => id)
  const membersOf = ({ members }: CoalitionStatus): string[] => members.map(({ peer }) => peer)
  const told = async (peer: Peer, id: string) => {
    const { news, isIn } = await peer.ask('coalitionTold', { id })
    return { types: news.map(({ type }) => type), leader: news.at(-1)?.leader, isIn }
  }
  const follows = (peer: Peer, id: string, leader: Peer): Promise<unknown> =>
    until(`${peer.id} follows`, async () => (await told(peer, id)).leader === leader.id, GONE_MS)
  const codeOf = async (promise: Promise<unknown>): Promise<unknown> =>
    Reflect.get(Object(await failureOf(promise)), 'code')

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-coalitions-'))
    for (const name of NAMES) peers.push(await start(name))
    ann = await createMesh({ name: 'ann', secret, join: peers.flatMap(({ addresses }) => addresses), log: 'silent' })
    await ann.coordinator.found({ timeoutMs: 30_000 })
  })
  after(async () => {
    await ann.stop()
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('three agents agree, the first one leads, and every node sees the same of it', async () => {
    const three = trio()
    const formed = await ann.coalitions.form({ id: 'harbour', goal: 'map it', members: idsOf(three), ttlMs: DAY_MS })
    assert.deepEqual([formed.state, formed.leader, membersOf(formed)], ['active', three[0].id, idsOf(three)])
    assert.equal(formed.owner, ann.self.id)
    for (const peer of three)
      assert.deepEqual(await told(peer, 'harbour'), { types: ['joined'], leader: three[0].id, isIn: true })
    assert.deepEqual(await ann.coalitions.list(), [formed])
    assert.equal((await told(coordinator(), 'harbour')).isIn, false)
  })

  it('an agent that refuses, and one that takes part in none, are left out where the others are enough', async () => {
    const [one, two, three] = trio()
    await three.ask('refuseCoalitions', { refuses: true })
    const members = [...idsOf([one, two, three]), ann.self.id]
    const formed = await ann.coalitions.form({ id: 'few', goal: 'map it', members, minMembers: 2, ttlMs: DAY_MS })
    assert.deepEqual(membersOf(formed), idsOf([one, two]))
    const failed = await failureOf(ann.coalitions.form({ goal: 'all of them', members, ttlMs: DAY_MS }))
    assert.ok(isParleyError(failed, 'STA003'))
    assert.equal(failed.details.reason, 'not-formed')
    assert.match(String(failed.details.why), /agents joined, and it needs 4/)
    await three.ask('refuseCoalitions', { refuses: false })
  })

  it('who proposed it and who leads it dissolve it; a member leaves; nobody directs but who coordinates', async () => {
    const [one, two, three] = trio()
    await ann.coalitions.form({ id: 'left', goal: 'g', members: idsOf([one, two, three]), ttlMs: DAY_MS })
    assert.equal(await codeOf(ann.coalitions.leave('left')), 'SEC002')
    await one.ask('leaveCoalition', { id: 'left' })
    await follows(three, 'left', two)
    assert.equal((await told(one, 'left')).isIn, false)
    const [timestamp, directive_id] = [new Date().toISOString(), crypto.randomUUID()]
    const forged = {
      ...{ directive_id, timestamp, target_agent: two.id, plan: 'left', action: 'form_coalition' as const },
      fence: { term: 1, index: 999_999_999 },
      parameters: { coalition_id: 'left', goal: 'g', leader: two.id, members: [two.id], ttl_ms: 0 },
    }
    assert.equal(await codeOf(ann.to(two.id, coordinationProtocol).coordination_directive(forged)), 'SEC002')
    assert.equal((await told(two, 'left')).isIn, true)
    await two.ask('dissolveCoalition', { id: 'left' })
    await until('all are out of it', async () => !(await told(two, 'left')).isIn && !(await told(three, 'left')).isIn)
    assert.equal((await ann.coalitions.get('left')).state, 'dissolved')
    assert.equal(await codeOf(ann.coalitions.dissolve('left')), 'STA003')
  })

  it('a plan of the same id has other directives: neither is in the way of the other', async () => {
    const [one] = trio()
    await one.ask('workFor', { type: 'quick', slots: 1, ms: 1 })
    await ann.coalitions.form({ id: 'same', goal: 'g', members: [one.id], ttlMs: DAY_MS })
    const plan = await ann.plans.make({ id: 'same', goal: 'g', tasks: [{ type: 'quick' }] })
    assert.equal((await plan.ended({ timeoutMs: GONE_MS })).outcome, 'completed')
    await ann.coalitions.dissolve('same')
    await until('it is out of it', async () => !(await told(one, 'same')).isIn)
  })

  it('when its time is over it is dissolved, and its members are told', async () => {
    const [one, two] = trio()
    await ann.coalitions.form({ id: 'short', goal: 'g', members: idsOf([one, two]), ttlMs: 3_000 })
    await until('it is over', async () => (await ann.coalitions.get('short')).state === 'dissolved')
    assert.equal((await ann.coalitions.get('short')).reason, 'its time is over')
    for (const peer of [one, two])
      await until('it is told', async () => (await told(peer, 'short')).types.join() === 'joined,dissolved')
  })

  it('a coordinator that is killed takes no coalition with it', async () => {
    const before = await ann.coalitions.get('harbour')
    const killed = coordinator()
    const [one, two, three] = trio()
    await killed.kill()
    peers.splice(peers.indexOf(killed), 1)
    await until(
      'another one coordinates',
      () => peers.some(({ id }) => id === ann.coordinator.status().leader),
      GONE_MS,
    )
    assert.deepEqual(await ann.coalitions.get('harbour'), before)
    const formed = await ann.coalitions.form({
      id: 'next',
      goal: 'g',
      members: idsOf([one, two, three]),
      ttlMs: DAY_MS,
    })
    assert.equal(formed.state, 'active')
    for (const peer of [one, two, three]) assert.deepEqual((await told(peer, 'harbour')).types, ['joined'])
  })

  it('a leader that is killed is followed by the next member, and is a member again once it is back', async () => {
    const { leader, members } = await ann.coalitions.get('harbour')
    const killed = peers.find(({ id }) => id === leader)
    assert.ok(killed)
    const [, second, third] = members.map(({ peer }) => peers.find(({ id }) => id === peer))
    assert.ok(second && third)
    await killed.kill()
    peers.splice(peers.indexOf(killed), 1)
    await follows(third, 'harbour', second)
    assert.equal((await ann.coalitions.get('harbour')).leader, second.id)
    const again = await start(nameOf.get(killed.id) ?? '')
    peers.push(again)
    await until('it is in it again', async () => (await told(again, 'harbour')).isIn, GONE_MS)
    assert.equal((await told(again, 'harbour')).leader, second.id)
  })
})
