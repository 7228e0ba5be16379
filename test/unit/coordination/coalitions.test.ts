/** Coalitions on several nodes in virtual time: formed, led, watched and dissolved, whoever is killed meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CoalitionStatus } from '../../../protocols/coordination/coalition/coalition-api.ts'
import { coalitionScope } from '../../../protocols/coordination/coalition/coalition-record.ts'
import { MAX_MEMBERSHIPS } from '../../../protocols/coordination/coalition/member-coalitions.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { type CoalitionNode, createCoalitionMesh } from '../../support/coalition-mesh.ts'

const GOAL = 'map the harbour'
const DAY_MS = 86_400_000
type Mesh = ReturnType<typeof createCoalitionMesh>

const idsOf = (all: readonly CoalitionNode[]): string[] => all.map(({ id }) => id)
const membersOf = ({ members }: CoalitionStatus): string[] => members.map(({ peer }) => peer)
/** The promise in virtual time. */
const ended = async <T>({ time }: Mesh, promise: Promise<T>, maxMs = 60_000): Promise<T> => {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  promise.then(over, over)
  await time.until(() => isOver, maxMs)
  return promise
}
const until = (mesh: Mesh, what: () => boolean, maxMs = 30_000): Promise<unknown> => mesh.time.until(what, maxMs)
const typesOf = ({ news }: CoalitionNode): string[] => news.map(({ type }) => type)
const othersThan = (all: readonly CoalitionNode[], ...some: CoalitionNode[]): CoalitionNode[] =>
  all.filter((one) => !some.includes(one))
const pick = (all: readonly CoalitionNode[], at: number): CoalitionNode => {
  const one = all[at]
  if (one === undefined) throw new Error(`there is no node ${at}`)
  return one
}

const withMesh = async (seed: number, count: number, run: (mesh: Mesh, all: CoalitionNode[]) => Promise<void>) => {
  const mesh = createCoalitionMesh(seed)
  try {
    await run(mesh, await mesh.found(count))
  } finally {
    mesh.end()
  }
}

test('a coalition is formed once all have agreed, and any node sees the same of it', () =>
  withMesh(1, 3, async (mesh, all) => {
    const members = idsOf(all)
    const formed = await ended(mesh, pick(all, 1).coalitions.form({ id: 'c', goal: GOAL, members, ttlMs: DAY_MS }))
    assert.equal(formed.state, 'active')
    assert.equal(formed.leader, members[0])
    assert.deepEqual(membersOf(formed), members)
    for (const one of all) {
      assert.deepEqual(typesOf(one), ['joined'], one.name)
      assert.equal(one.news[0]?.isLeader, one === all[0])
      assert.deepEqual(await ended(mesh, one.coalitions.get('c')), formed)
      assert.equal(one.coalitions.counts().memberOf, 1)
    }
    assert.deepEqual(await ended(mesh, pick(all, 2).coalitions.list()), [formed])
    const again = await ended(mesh, pick(all, 1).coalitions.form({ id: 'c', goal: GOAL, members, ttlMs: DAY_MS }))
    assert.deepEqual(again, formed, 'the same again is the same coalition')
  }))

test('members that refuse or do not answer are left out where enough others agree', () =>
  withMesh(2, 4, async (mesh, all) => {
    const [, , shy, silent] = all
    if (shy === undefined || silent === undefined) throw new Error('there are four')
    shy.agree = () => ({ error: 'directive_failed', reason: 'no time' })
    mesh.mute.add(silent.id)
    const options = { id: 'c', goal: GOAL, members: idsOf(all), minMembers: 2, ttlMs: DAY_MS, leader: shy.id }
    const formed = await ended(mesh, pick(all, 0).coalitions.form(options))
    assert.deepEqual(membersOf(formed), [all[0]?.id, all[1]?.id])
    assert.equal(formed.leader, all[0]?.id, 'who leads is a member')
    await until(mesh, () => pick(all, 1).news.some(({ leader }) => leader === all[0]?.id))
    assert.equal(shy.coalitions.counts().memberOf, 0)
  }))

test('peers that nobody knows are not directed, and count as agents that did not answer', () =>
  withMesh(17, 3, async (mesh, all) => {
    const strangers = ['peerofnobody', 'peerofnobodyelse']
    const members = [...strangers, ...idsOf(all)]
    const one = pick(all, 0)
    const formed = await ended(
      mesh,
      one.coalitions.form({ id: 'c', goal: GOAL, members, minMembers: 3, ttlMs: DAY_MS }),
    )
    assert.deepEqual(membersOf(formed), idsOf(all))
    const forming = one.coalitions.form({ id: 'd', goal: GOAL, members, ttlMs: DAY_MS })
    await assert.rejects(ended(mesh, forming), (error) => isParleyError(error, 'STA003'))
    await mesh.time.run(20_000)
    assert.deepEqual(
      mesh.sent.filter((peer) => strangers.includes(peer)),
      [],
    )
    assert.ok(mesh.sent.length >= 6)
  }))

test('where too few agree it is dissolved with the reason, and those who agreed are told', () =>
  withMesh(3, 3, async (mesh, all) => {
    const shy = pick(all, 2)
    shy.agree = () => ({ error: 'directive_failed' })
    const forming = pick(all, 0).coalitions.form({ id: 'c', goal: GOAL, members: idsOf(all), ttlMs: DAY_MS })
    await assert.rejects(ended(mesh, forming), (error) => {
      assert.ok(isParleyError(error, 'STA003'))
      assert.equal(error.details.reason, 'not-formed')
      assert.match(String(error.details.why), /of 3 agents joined, and it needs 3/)
      return true
    })
    await until(mesh, () => othersThan(all, shy).every(({ coalitions }) => coalitions.counts().memberOf === 0))
    for (const one of othersThan(all, shy)) if (one.news.length > 0) assert.equal(one.news.at(-1)?.type, 'dissolved')
  }))

test('a leader that is killed is followed by the first member that is there, and all are told', () =>
  withMesh(4, 5, async (mesh, all) => {
    const coordinator = mesh.leading()
    const [leader, ...others] = othersThan(all, coordinator)
    if (leader === undefined) throw new Error('there are five')
    const members = idsOf([leader, ...others])
    await ended(mesh, coordinator.coalitions.form({ id: 'c', goal: GOAL, members, ttlMs: DAY_MS }))
    mesh.kill(leader)
    const next = pick(others, 0)
    await until(mesh, () => others.every(({ news }) => news.at(-1)?.leader === next.id))
    for (const one of others) assert.deepEqual(typesOf(one), ['joined', 'changed'], one.name)
    assert.equal(next.news.at(-1)?.isLeader, true)
    assert.equal((await ended(mesh, coordinator.coalitions.get('c'))).leader, next.id)
  }))

test('a coordinator that is killed while it forms one leaves it to the next, which ends it', () =>
  withMesh(5, 5, async (mesh, all) => {
    const first = mesh.leading()
    const others = othersThan(all, first)
    const held = pick(others, 3)
    mesh.mute.add(held.id)
    const forming = pick(others, 0).coalitions.form({ id: 'c', goal: GOAL, members: idsOf(others), ttlMs: DAY_MS })
    forming.catch(() => {})
    await until(mesh, () => others.filter(({ directed }) => directed.length > 0).length === 3)
    mesh.kill(first)
    mesh.mute.delete(held.id)
    const formed = await ended(mesh, forming)
    assert.notEqual(mesh.leading(), first)
    assert.deepEqual(membersOf(formed), idsOf(others))
    for (const one of others) assert.deepEqual(typesOf(one), ['joined'], `${one.name} is asked once`)
  }))

test('its time is over: it is dissolved, and its members are told once', () =>
  withMesh(6, 3, async (mesh, all) => {
    const one = pick(all, 0)
    await ended(mesh, one.coalitions.form({ id: 'c', goal: GOAL, members: idsOf(all), ttlMs: 20_000 }))
    await mesh.time.run(15_000)
    assert.equal((await ended(mesh, one.coalitions.get('c'))).state, 'active')
    await mesh.time.run(10_000)
    const over = await ended(mesh, one.coalitions.get('c'))
    assert.equal(over.state, 'dissolved')
    assert.equal(over.reason, 'its time is over')
    for (const { name, news } of all)
      assert.deepEqual(
        news.map(({ type }) => type),
        ['joined', 'dissolved'],
        name,
      )
    const told = all.map(({ directed }) => directed.at(-1)?.parameters)
    for (const parameters of told) assert.equal(Reflect.get(Object(parameters), 'ttl_ms'), 0)
  }))

test('its time is over while a program thinks about a change: it is told that once, and is not in it again', () =>
  withMesh(18, 3, async (mesh, all) => {
    const [one, two, slow] = [pick(all, 0), pick(all, 1), pick(all, 2)]
    await ended(mesh, one.coalitions.form({ id: 'c', goal: GOAL, members: idsOf(all), ttlMs: 10_000 }))
    slow.agree = ({ type }) =>
      type === 'changed' ? new Promise((resolve) => mesh.time.after(1_500, () => resolve(undefined))) : undefined
    await mesh.time.run(9_000)
    await ended(mesh, two.coalitions.leave('c'))
    await until(mesh, () => slow.news.at(-1)?.type === 'dissolved')
    for (let i = 0; i < 40; i += 1) {
      assert.equal(slow.coalitions.isIn('c'), false, `${i}`)
      await mesh.time.run(100)
    }
    assert.deepEqual(typesOf(slow), ['joined', 'changed', 'dissolved'])
  }))

test('it ends at a member by itself where nobody coordinates any more', () =>
  withMesh(7, 3, async (mesh, all) => {
    const last = pick(othersThan(all, mesh.leading()), 0)
    await ended(mesh, last.coalitions.form({ id: 'c', goal: GOAL, members: [last.id], ttlMs: 20_000 }))
    for (const other of othersThan(all, last)) mesh.kill(other)
    await mesh.time.run(15_000)
    assert.equal(last.coalitions.counts().memberOf, 1)
    await mesh.time.run(10_000)
    assert.deepEqual(typesOf(last), ['joined', 'dissolved'])
  }))

test('members leave it, its owner dissolves it, and nobody else does', () =>
  withMesh(8, 3, async (mesh, all) => {
    const [one, two, three] = [pick(all, 0), pick(all, 1), pick(all, 2)]
    await ended(mesh, one.coalitions.form({ id: 'c', goal: GOAL, members: [one.id, two.id], ttlMs: DAY_MS }))
    const refused = (error: unknown): boolean => isParleyError(error, 'SEC002')
    await assert.rejects(ended(mesh, three.coalitions.leave('c')), refused)
    await assert.rejects(ended(mesh, two.coalitions.dissolve('c')), refused)
    await ended(mesh, one.coalitions.leave('c'))
    await until(mesh, () => two.news.at(-1)?.leader === two.id)
    assert.equal(one.coalitions.counts().memberOf, 0)
    await ended(mesh, one.coalitions.dissolve('c', 'done'))
    await until(mesh, () => two.news.at(-1)?.type === 'dissolved')
    assert.equal((await ended(mesh, three.coalitions.get('c'))).reason, 'done')
    await assert.rejects(ended(mesh, one.coalitions.dissolve('c')), (error) => isParleyError(error, 'STA003'))
    await ended(mesh, one.coalitions.form({ id: 'd', goal: GOAL, members: [two.id], ttlMs: DAY_MS }))
    mesh.holders.add(three.id)
    await ended(mesh, three.coalitions.dissolve('d', 'for all of us'))
    assert.equal((await ended(mesh, one.coalitions.get('d'))).reason, 'for all of us', 'a holder of coordinate may')
    await ended(mesh, one.coalitions.form({ id: 'e', goal: GOAL, members: [two.id], ttlMs: DAY_MS }))
    await ended(mesh, two.coalitions.dissolve('e'))
    await until(mesh, () => !two.coalitions.isIn('e'))
  }))

/** Three others than the coordinator, of which the first one leads. */
const threeInOne = async (mesh: Mesh, all: readonly CoalitionNode[]) => {
  const coordinator = mesh.leading()
  const [one, two, three] = othersThan(all, coordinator)
  if (one === undefined || two === undefined || three === undefined) throw new Error('there are five')
  const members = idsOf([one, two, three])
  await ended(mesh, coordinator.coalitions.form({ id: 'c', goal: GOAL, members, ttlMs: DAY_MS }))
  await mesh.time.run(1_000)
  return { coordinator, one, two, three }
}

test('a leader that is there and does not answer is followed by another one', () =>
  withMesh(14, 5, async (mesh, all) => {
    const { coordinator, one, two, three } = await threeInOne(mesh, all)
    mesh.mute.add(one.id)
    await ended(mesh, three.coalitions.leave('c'))
    await until(mesh, () => two.news.at(-1)?.leader === two.id)
    const led = await ended(mesh, coordinator.coalitions.get('c'))
    assert.deepEqual(membersOf(led), idsOf([one, two]), 'it is a member yet')
    mesh.mute.delete(one.id)
    await until(mesh, () => one.news.at(-1)?.leader === two.id)
    assert.equal((await ended(mesh, coordinator.coalitions.get('c'))).leader, two.id)
  }))

test('a member that is about to stop leads no more and joins none, and hears that one is over', () =>
  withMesh(14, 5, async (mesh, all) => {
    const { coordinator, one, two, three } = await threeInOne(mesh, all)
    mesh.draining.add(one.id)
    await ended(mesh, three.coalitions.leave('c'))
    await until(mesh, () => two.news.at(-1)?.leader === two.id)
    const other = { id: 'd', goal: GOAL, members: idsOf([one, two]), ttlMs: DAY_MS, minMembers: 1 }
    assert.deepEqual(membersOf(await ended(mesh, coordinator.coalitions.form(other))), idsOf([two]))
    await ended(mesh, coordinator.coalitions.dissolve('c'))
    await until(mesh, () => one.news.at(-1)?.type === 'dissolved')
    assert.equal(one.coalitions.isIn('c') || one.coalitions.isIn('d'), false)
  }))

test('a member that was started anew is not left out because its program listens late', () =>
  withMesh(15, 4, async (mesh, all) => {
    const coordinator = mesh.leading()
    const [one, two] = othersThan(all, coordinator)
    if (one === undefined || two === undefined) throw new Error('there are four')
    await ended(mesh, coordinator.coalitions.form({ id: 'c', goal: GOAL, members: idsOf([one, two]), ttlMs: DAY_MS }))
    await mesh.time.run(1_000)
    mesh.kill(two)
    const again = await mesh.start(two.name, { fences: two.fences, listens: false })
    await mesh.time.run(3_000)
    assert.equal(again.coalitions.isIn('c'), false)
    again.coalitions.onCoalition(() => undefined)
    await until(mesh, () => again.coalitions.isIn('c'))
    assert.deepEqual(membersOf(await ended(mesh, one.coalitions.get('c'))), idsOf([one, two]))
  }))

test('a member that was away while it was dissolved hears of it once it is there again', () =>
  withMesh(16, 5, async (mesh, all) => {
    const coordinator = mesh.leading()
    const [one, two] = othersThan(all, coordinator)
    if (one === undefined || two === undefined) throw new Error('there are five')
    await ended(mesh, coordinator.coalitions.form({ id: 'c', goal: GOAL, members: idsOf([one, two]), ttlMs: DAY_MS }))
    await mesh.time.run(1_000)
    mesh.mesh.cut(
      [two.node],
      mesh.mesh.up().filter((node) => node !== two.node),
    )
    await ended(mesh, coordinator.coalitions.dissolve('c'))
    await mesh.time.run(120_000)
    assert.ok(two.coalitions.isIn('c'), 'it does not know')
    mesh.mesh.heal()
    await until(mesh, () => !two.coalitions.isIn('c'))
    assert.equal(two.news.at(-1)?.type, 'dissolved')
  }))

test('a member that refuses to go on is left out, and with nobody left it is dissolved', () =>
  withMesh(9, 6, async (mesh, all) => {
    const coordinator = mesh.leading()
    const [one, two, three] = othersThan(all, coordinator)
    if (one === undefined || two === undefined || three === undefined) throw new Error('there are six')
    const members = idsOf([one, two, three])
    await ended(mesh, coordinator.coalitions.form({ id: 'c', goal: GOAL, members, ttlMs: DAY_MS }))
    two.agree = ({ type }) => (type === 'changed' ? { error: 'directive_failed', reason: 'not as leader' } : undefined)
    mesh.kill(one)
    await until(mesh, () => three.news.at(-1)?.leader === three.id)
    const left = await ended(mesh, coordinator.coalitions.get('c'))
    assert.deepEqual(membersOf(left), [one.id, three.id])
    assert.equal(left.leader, three.id)
    mesh.kill(three)
    await mesh.time.run(5_000)
    assert.equal((await ended(mesh, coordinator.coalitions.get('c'))).reason, 'none of its members is there')
  }))

test('an older fence is refused, also after it left, and a newer one is not', () =>
  withMesh(10, 3, async (mesh, all) => {
    const [one, two] = [pick(all, 0), pick(all, 1)]
    await ended(mesh, one.coalitions.form({ id: 'c', goal: GOAL, members: idsOf(all), ttlMs: DAY_MS }))
    await until(mesh, () => two.directed.length === 2)
    const [first] = two.directed
    if (first?.action !== 'form_coalition') throw new Error('it was directed')
    const old = ended(mesh, two.take(first.parameters, first.fence))
    await assert.rejects(old, (error) => isParleyError(error, 'STA002'))
    const newest = two.directed.at(-1)
    if (newest?.action !== 'form_coalition') throw new Error('it was directed again')
    assert.equal(await ended(mesh, two.take(newest.parameters, newest.fence)), undefined)
    assert.deepEqual(typesOf(two), ['joined'], 'the same again changes nothing')
    await ended(mesh, two.coalitions.leave('c'))
    assert.ok((two.fences.highest(coalitionScope('c'))?.index ?? 0) > newest.fence.index)
    const late = ended(mesh, two.take(newest.parameters, newest.fence))
    await assert.rejects(late, (error) => isParleyError(error, 'STA002'))
    assert.equal(two.coalitions.counts().memberOf, 0)
  }))

test('a node is in so many coalitions and no more; without a program that agrees it is in none', () =>
  withMesh(11, 3, async (mesh, all) => {
    const one = pick(all, 0)
    const asked = (id: string) => ({ coalition_id: id, goal: GOAL, leader: one.id, members: [one.id], ttl_ms: DAY_MS })
    const direct = (id: string, index: number) => ended(mesh, one.take(asked(id), { term: 1, index }))
    for (let i = 0; i < MAX_MEMBERSHIPS; i += 1) assert.equal(await direct(`c${i}`, 1_000 + i), undefined)
    assert.equal((await direct('more', 5_000))?.error, 'directive_failed')
    assert.equal(await direct('c0', 5_001), undefined, 'one that it is in goes on')
    one.agree = () => {
      throw new Error('a program that fails')
    }
    const over = { ...asked('c1'), ttl_ms: 0 }
    assert.equal(await ended(mesh, one.take(over, { term: 1, index: 5_002 })), undefined)
    assert.equal((await direct('more', 5_003))?.reason, 'the agent could not agree')
    const registration = (): unknown => one.coalitions.onCoalition(() => undefined)
    assert.throws(registration, (error) => isParleyError(error, 'STA003'))
  }))

test('what makes no coalition is refused before anybody hears of it', () =>
  withMesh(12, 3, async (mesh, all) => {
    const { coalitions } = pick(all, 0)
    const good = { goal: GOAL, members: idsOf(all), ttlMs: 1_000 }
    const bad = [
      { ...good, members: [] },
      { ...good, ttlMs: DAY_MS + 1 },
      { ...good, leader: 'nobody' },
      { ...good, members: ['a', 'a'] },
      { ...good, minMembers: 4 },
      { ...good, id: 'not so' },
      { ...good, unknown: true },
    ]
    for (const options of bad)
      await assert.rejects(ended(mesh, coalitions.form(options)), (error) => isParleyError(error, 'MSG001'))
    assert.deepEqual(await ended(mesh, coalitions.list()), [])
  }))

test('a member that was started anew is directed again, and refuses what is older than before it was killed', () =>
  withMesh(13, 4, async (mesh, all) => {
    const coordinator = mesh.leading()
    const [one, two] = othersThan(all, coordinator)
    if (one === undefined || two === undefined) throw new Error('there are four')
    await ended(mesh, coordinator.coalitions.form({ id: 'c', goal: GOAL, members: idsOf([one, two]), ttlMs: DAY_MS }))
    // Its answer has come, so that it is not directed anew for the want of one.
    await until(mesh, () => two.directed.length === 2)
    await mesh.time.run(500)
    const last = two.directed.at(-1)
    if (last?.action !== 'form_coalition') throw new Error('it was directed')
    mesh.kill(two)
    const again = await mesh.start(two.name, { fences: two.fences })
    await until(mesh, () => again.coalitions.counts().memberOf === 1)
    assert.deepEqual(typesOf(again), ['joined'])
    const older = { ...last.fence, index: last.fence.index - 1 }
    await assert.rejects(ended(mesh, again.take(last.parameters, older)), (error) => isParleyError(error, 'STA002'))
  }))

/** Nodes are killed, started anew and cut off while coalitions are formed and dissolved; then all are there again. */
const disturbed = async (seed: number): Promise<{ formed: number; kills: number; changed: number }> => {
  const mesh = createCoalitionMesh(seed)
  const { random } = mesh.mesh.network
  const counts = { formed: 0, kills: 0, changed: 0 }
  const running = new Map((await mesh.found(5)).map((one) => [one.name, one]))
  const away = new Map<string, CoalitionNode>()
  const anyOf = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const names = [...running.keys()]
  const idOf = new Map([...running].map(([name, { id }]) => [name, id]))
  try {
    for (let step = 0; step < 40; step += 1) {
      const one = anyOf([...running.values()])
      const what = random()
      if (what < 0.4) {
        const members = names.filter(() => random() < 0.6).map((name) => idOf.get(name) ?? '')
        const ttlMs = random() < 0.3 ? 10_000 : DAY_MS
        if (members.length > 0)
          one?.coalitions
            .form({ id: `c${step}`, goal: GOAL, members, minMembers: Math.ceil(members.length / 2), ttlMs })
            .then(
              () => (counts.formed += 1),
              () => {},
            )
      } else if (what < 0.5) one?.coalitions.dissolve(`c${Math.floor(random() * step)}`).catch(() => {})
      else if (what < 0.6) one?.coalitions.leave(`c${Math.floor(random() * step)}`).catch(() => {})
      else if (what < 0.75 && one !== undefined && away.size < 2) {
        mesh.kill(one)
        counts.kills += 1
        running.delete(one.name)
        away.set(one.name, one)
      } else if (what < 0.85 && one !== undefined) {
        mesh.mesh.cut(
          [one.node],
          mesh.mesh.up().filter((node) => node !== one.node),
        )
        mesh.time.after(3_000 * random(), mesh.mesh.heal)
      } else {
        const [name, before] = [...away][0] ?? []
        if (name !== undefined) {
          away.delete(name)
          running.set(name, await mesh.start(name, before === undefined ? {} : { fences: before.fences }))
        }
      }
      await mesh.time.run(100 + 1_500 * random())
    }
    for (const [name, { fences }] of away) running.set(name, await mesh.start(name, { fences }))
    mesh.mesh.heal()
    await mesh.mesh.untilLeader(30_000)
    // Those that were asked late are formed or not by then, and short ones are over.
    await mesh.time.run(90_000)
    const all = await ended(mesh, mesh.leading().coalitions.list())
    assert.ok(all.length > 3, `${all.length} coalitions`)
    for (const { id, state, leader, members, owner } of all) {
      const where = `seed ${seed}: ${id} of ${owner}, ${state}`
      assert.notEqual(state, 'forming', where)
      const peers = members.map(({ peer }) => peer)
      for (const node of running.values()) {
        const last = node.news.findLast((news) => news.id === id)
        const isIn = state === 'active' && peers.includes(node.id)
        const believes = last !== undefined && last.type !== 'dissolved' && !leftBy(node, id)
        assert.equal(believes, isIn, `${where}: ${node.name} ${last?.type}`)
        if (!isIn) continue
        assert.equal(last?.leader, leader, `${where}: ${node.name} follows who leads`)
        assert.deepEqual(last?.members, peers, `${where}: ${node.name}`)
      }
    }
    counts.changed = [...running.values()].flatMap(({ news }) => news).filter(({ type }) => type === 'changed').length
    return counts
  } finally {
    mesh.end()
  }
}
/** Who leaves is not told what it did itself. */
const leftBy = ({ coalitions }: CoalitionNode, id: string): boolean => !coalitions.isIn(id)

test('whoever is killed or cut off: in the end all members believe what the journal says', async () => {
  const sum = { formed: 0, kills: 0, changed: 0 }
  for (let seed = 100; seed < 103; seed += 1) {
    const counts = await disturbed(seed)
    sum.formed += counts.formed
    sum.kills += counts.kills
    sum.changed += counts.changed
  }
  assert.ok(sum.formed > 20 && sum.kills > 8 && sum.changed > 10, JSON.stringify(sum))
})
