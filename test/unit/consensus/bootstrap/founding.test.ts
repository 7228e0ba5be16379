/** Nodes that found a mesh over Ports, in virtual time: together, late, crashed at any moment, never two of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FOUNDING_FILE } from '../../../../node/store/journal/founding-file.ts'
import { createRandom } from '../../../../node/testing/virtual/virtual-time.ts'
import { startFounding } from '../../../../protocols/consensus/bootstrap/founding.ts'
import { foundedMeshId, foundingVoters } from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import { memberIdOf, peerOf } from '../../../../protocols/consensus/member-id.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { failureOf } from '../../../support/until.ts'
import { createFoundingMesh } from './founding-mesh.ts'

const reasonOf = (error: unknown): unknown => (isParleyError(error) ? (error.details.reason ?? error.code) : `${error}`)
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`)

test('three that expect three found one mesh, named after them, within a tenth of a second', async (t) => {
  const { start, time, up, isOne, founders } = createFoundingMesh()
  for (const name of names(3)) await start(name, { expect: 3 })
  const tookMs = await time.until(isOne, 200)
  t.diagnostic(`founded after ${tookMs.toFixed(0)} ms`)
  const set = up()
    .map(({ member }) => member)
    .toSorted()
  assert.deepEqual(founders(), set)
  for (const { founding, told, node } of up()) {
    const meshId = foundedMeshId(node.port.hash, 'test', set)
    assert.deepEqual(founding.founded(), { meshId, members: set })
    assert.deepEqual(told, [meshId])
    assert.deepEqual(founding.status(), { state: 'founded', expect: 3, candidates: [], waitingFor: [] })
    assert.equal(await founding.adopt(meshId), 'same')
    assert.equal(await founding.adopt('f'.repeat(32)), 'conflict')
  }
})

test('five of seven found the mesh, and the other two belong to it', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const { start, time, up, isOne, founders } = createFoundingMesh({ seed, latencyMs: [1, 60] })
    for (const name of names(7)) await start(name, { expect: 5 })
    await time.until(isOne, 20_000)
    assert.equal(founders().length, 5)
    const states = up().map(({ founding }) => founding.status().state)
    assert.equal(states.filter((state) => state === 'adopted').length, 2)
  }
})

test('two wait for the third, and say so; a fourth belongs to the mesh that it finds', async () => {
  const { start, time, isOne, founders } = createFoundingMesh()
  const [a, b] = [await start('a', { expect: 3 }), await start('b', { expect: 3 })]
  await time.run(60_000)
  const { state, candidates, problem } = a.founding.status()
  assert.deepEqual(
    [state, candidates, problem],
    ['waiting', [a.member, b.member].toSorted(), '2 of the 3 expected founders are here'],
  )
  const c = await start('c', { expect: 3 })
  await time.until(isOne, 200)
  const d = await start('d', { expect: 3 })
  await time.until(isOne, 200)
  assert.deepEqual(founders(), [a, b, c].map(({ member }) => member).toSorted())
  assert.equal(d.founding.founded(), undefined)
  assert.equal(d.founding.status().state, 'adopted')
})

test('one alone founds before it has started, with or without somewhere to join where it expects one', async () => {
  const { start } = createFoundingMesh()
  const alone = await start('alone', { joins: false })
  const one = await start('one', { expect: 1, joins: true })
  for (const { founding, member } of [alone, one]) assert.deepEqual(founding.founded()?.members, [member])
  assert.notEqual(alone.founding.meshId(), one.founding.meshId())
  // Two meshes that were founded apart stay apart.
  assert.equal(await one.founding.adopt(alone.founding.meshId() ?? ''), 'conflict')
})

test('one that joins and expects no number never founds, says so, and belongs to the mesh that it finds', async () => {
  const { start, time, isOne } = createFoundingMesh()
  const joiner = await start('joiner')
  const other = await start('other')
  await time.run(60_000)
  for (const { founding } of [joiner, other]) {
    assert.equal(founding.status().state, 'joiner')
    assert.match(founding.status().problem ?? '', /never founds a mesh/)
  }
  await start('a', { expect: 2 })
  await time.run(10_000)
  assert.equal(joiner.founding.meshId(), undefined, 'a joiner is nobody to found with')
  await start('b', { expect: 2 })
  await time.until(isOne, 100)
  assert.equal(joiner.founding.founded(), undefined)
})

test('whoever belongs to a mesh belongs to it after a restart, and asks nothing any more', async () => {
  const { start, time, up, kill, isOne, calls, founders } = createFoundingMesh()
  for (const name of names(4)) await start(name, { expect: 3 })
  await time.until(isOne, 3_000)
  await time.run(100)
  calls.unary = 0
  await time.run(60_000)
  assert.equal(calls.unary, 0, 'before it either')
  const [before, meshId] = [founders(), up()[0]?.founding.meshId()]
  for (const name of names(4)) kill(name)
  for (const name of names(4)) await start(name, { expect: 3 })
  assert.deepEqual([founders(), up()[0]?.founding.meshId(), isOne()], [before, meshId, true])
  await time.run(60_000)
  assert.equal(calls.unary, 0)
  assert.ok(up().every(({ told }) => told.length === 0))
})

test('one that dies between its promise and its answer keeps the promise, and the others wait for it', async () => {
  for (const power of [true, false]) {
    const { start, time, kill, isOne, up, founders } = createFoundingMesh()
    await start('a', { expect: 3 })
    await start('b', { expect: 3 })
    let isPromised = false
    await start('c', {
      expect: 3,
      onSaved: ({ promise }) => {
        if (promise === undefined || isPromised) return
        isPromised = true
        kill('c', power)
      },
    })
    await time.until(() => isPromised, 5_000)
    await time.run(30_000)
    for (const { founding, node } of up()) {
      const status = founding.status()
      assert.equal(status.state, 'promised')
      assert.equal(status.waitingFor.length, 1)
      assert.match(status.problem ?? '', /waits for .*start them again, each with its data directory/)
      const warnings = node.logs.filter(({ level }) => level === 'warn')
      assert.deepEqual(
        warnings.map(({ message }) => message),
        ['the founding of the mesh does not get on'],
      )
      assert.equal(await founding.adopt('e'.repeat(32)), 'deferred')
    }
    const c = await start('c', { expect: 3 })
    assert.notEqual(c.founding.status().state, 'waiting')
    await time.until(isOne, 3_000)
    assert.equal(founders().length, 3)
  }
})

test('nodes that die and lose connections at any moment found one mesh in the end', async (t) => {
  const met = { refused: 0, promisedAtDeath: 0, foundedMeanwhile: 0 }
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = createRandom(seed)
    const mesh = createFoundingMesh({ seed, latencyMs: [1, 40] })
    const { start, kill, up, time, connect, connectAll, disconnect, isOne, founders } = mesh
    const all = names(5)
    const seen = new Set<string>()
    let released = false
    const look = (): void => {
      for (const { founding } of up()) {
        const founded = founding.founded()
        if (founded !== undefined) seen.add(founded.members.join())
        released ||= founding.counts().released > 0
      }
    }
    const disturb = async (name: string): Promise<void> => {
      const one = up().find((node) => node.name === name)
      if (one === undefined) {
        await start(name, { expect: 3, isApart: true })
        return
      }
      for (const other of up()) {
        const luck = random()
        if (other === one) continue
        if (luck < 0.2) disconnect(one.node, other.node)
        else if (luck < 0.5) connect(one.node, other.node)
      }
      if (random() < 0.3) {
        if (one.founding.status().state === 'promised') met.promisedAtDeath += 1
        kill(name, random() < 0.5)
      }
    }
    for (let turn = 0; turn < 100; turn += 1) {
      await disturb(all[Math.floor(random() * all.length)] ?? '')
      await time.run(random() * 60)
      look()
    }
    if (seen.size > 0) met.foundedMeanwhile += 1
    for (const name of all) if (!up().some((node) => node.name === name)) await start(name, { expect: 3 })
    connectAll()
    await time.until(() => up().every(({ founding }) => founding.meshId() !== undefined), 60_000)
    look()
    // With five nodes and three founders there is no room for two sets.
    assert.equal(seen.size, 1, `seed ${seed}`)
    assert.ok(isOne(), `seed ${seed}`)
    assert.equal(founders().length, 3, `seed ${seed}`)
    if (released) met.refused += 1
  }
  t.diagnostic(JSON.stringify(met))
  for (const [what, count] of Object.entries(met)) assert.ok(count > 0, what)
})

test('nodes that expect different numbers found nothing, and say who expects what', async () => {
  const { start, time, up, kill, isOne } = createFoundingMesh()
  for (const name of ['a', 'b', 'c']) await start(name, { expect: 3 })
  for (const name of ['d', 'e']) await start(name, { expect: 5 })
  await time.run(60_000)
  for (const { founding, node } of up()) {
    const { state, problem } = founding.status()
    assert.equal(state, 'waiting')
    assert.match(problem ?? '', /different numbers of founders: 3 \(.*\), 5 \(.*\); give all of them the same/)
    const warnings = node.logs.filter(({ level }) => level === 'warn')
    assert.equal(warnings.length, 1, 'told once')
    assert.match(String(warnings[0]?.fields.problem), /3 \(/)
  }
  for (const name of ['d', 'e']) {
    kill(name)
    await start(name, { expect: 3 })
  }
  await time.until(isOne, 5_000)
})

test('two proposals at one time end in one mesh', async () => {
  // Two halves that do not see each other and share one node: each of them has its own lowest.
  let refused = 0
  for (let seed = 1; seed <= 30; seed += 1) {
    const { start, connect, connectAll, time, isOne, founders, up } = createFoundingMesh({ seed })
    const [a, b, c, d, e] = await Promise.all(names(5).map((name) => start(name, { expect: 3, isApart: true })))
    assert.ok(a && b && c && d && e)
    for (const [x, y] of [
      [a, b],
      [b, c],
      [a, c],
      [c, d],
      [d, e],
      [c, e],
    ] as const)
      connect(x.node, y.node)
    await time.run(20)
    connectAll()
    await time.until(isOne, 30_000)
    assert.equal(founders().length, 3)
    if (up().some(({ founding }) => founding.counts().released > 0)) refused += 1
  }
  assert.ok(refused > 5, `${refused} of 30 were in each other's way`)
})

test('a node whose log store is lost comes back as a learner of its mesh, for good', async () => {
  const { start, time, kill, isOne, founders } = createFoundingMesh()
  for (const name of names(3)) await start(name, { expect: 3 })
  await time.until(isOne, 500)
  const before = founders()
  kill('n0')
  const back = await start('n0', { expect: 3, storageId: 'ffff' })
  assert.equal(back.founding.status().state, 'adopted')
  assert.equal(back.founding.founded(), undefined)
  assert.ok(isOne())
  kill('n0')
  const again = await start('n0', { expect: 3, storageId: Buffer.from('n0').toString('hex') })
  assert.ok(before.includes(again.member))
  assert.equal(again.founding.founded(), undefined, 'also where the old log turns up again')
})

test('a disk without room promises nothing; once there is room, the mesh is founded', async () => {
  const { start, startBare, time, isOne } = createFoundingMesh()
  const a = await start('a', { expect: 2 })
  a.disk.room = 0
  await start('b', { expect: 2 })
  await time.run(20_000)
  assert.equal(a.founding.meshId(), undefined)
  assert.ok(a.founding.counts().unsaved > 0)
  assert.equal(a.node.logs.filter(({ level }) => level === 'error').length, 1, 'told once')
  assert.equal(reasonOf(await failureOf(a.founding.adopt('a'.repeat(32)))), 'unsaved')
  a.disk.room = Number.POSITIVE_INFINITY
  await time.until(isOne, 10_000)
  // One that founds alone has nobody to wait for: it does not start.
  const { port, id } = startBare('alone')
  const store = { load: async () => undefined, save: () => Promise.reject(new Error('no room')) }
  const failure = await failureOf(startFounding({ port, store }, { member: memberIdOf(id, 'ab'), joins: false }))
  assert.equal(reasonOf(failure), 'unsaved')
})

test('a founding file that is damaged keeps the node from starting', async () => {
  const { start, time, kill, isOne, startBare } = createFoundingMesh()
  const a = await start('a', { expect: 2 })
  await start('b', { expect: 2 })
  await time.until(isOne, 500)
  kill('a')
  a.disk.flip(FOUNDING_FILE, 40)
  assert.equal(reasonOf(await failureOf(start('a', { expect: 2 }))), 'damaged')
  const bare = startBare('bare')
  const store = { load: async () => undefined, save: async () => {} }
  const member = memberIdOf(bare.id, 'ab')
  for (const bad of [
    { expect: 0 },
    { expect: 65 },
    { expect: 2.5 },
    { member: 'nobody' },
    { member: memberIdOf('x', 'ab') },
  ]) {
    const failure = await failureOf(startFounding({ port: bare.port, store }, { member, joins: true, ...bad }))
    assert.ok(isParleyError(failure, 'MSG001'), JSON.stringify(bad))
  }
})

test('steps that wait for the disk are bounded', async () => {
  const { startBare, time } = createFoundingMesh()
  const { port, id } = startBare('a')
  const store = { load: async () => undefined, save: () => new Promise<void>(() => {}) }
  const founding = await startFounding({ port, store }, { member: memberIdOf(id, 'ab'), joins: true })
  const outcomes: unknown[] = []
  const adopt = (): void => {
    founding.adopt('a'.repeat(32)).catch((error: unknown) => outcomes.push(reasonOf(error)))
  }
  adopt()
  await time.run(1)
  for (let n = 0; n < 1_024; n += 1) adopt()
  await time.run(1)
  assert.deepEqual([outcomes, founding.counts().dropped], [[], 0])
  adopt()
  await time.run(1)
  assert.deepEqual([outcomes, founding.counts().dropped], [['COM003'], 1])
})

test('one that stops asks nothing, answers nothing, and finishes what it saves', async () => {
  const { start, time, up, calls } = createFoundingMesh()
  const a = await start('a', { expect: 3 })
  await start('b', { expect: 3 })
  await time.run(100)
  await time.settled(a.founding.stop(), 100)
  assert.equal(reasonOf(await failureOf(a.founding.adopt('a'.repeat(32)))), 'closed')
  await up()[1]?.founding.stop()
  calls.unary = 0
  await time.run(10_000)
  assert.equal(calls.unary, 0)
})

test('a mesh is named after its name and its founders, and its first voters are the lowest of them', () => {
  const { startBare } = createFoundingMesh()
  const { hash } = startBare('a').port
  const id = foundedMeshId(hash, 'test', ['a.01', 'b.02'])
  assert.match(id, /^[0-9a-f]{32}$/)
  assert.equal(foundedMeshId(hash, 'test', ['a.01', 'b.02']), id)
  for (const other of [['a.01'], ['a.01', 'b.03'], ['a.01b.02'], ['a.01', 'b.02', 'c.03']]) {
    assert.notEqual(foundedMeshId(hash, 'test', other), id)
  }
  assert.notEqual(foundedMeshId(hash, 'other', ['a.01', 'b.02']), id)
  const members = Array.from({ length: 9 }, (_, i) => `p${i}.0${i}`)
  const counts = members.map((_, i) => foundingVoters(members.slice(0, i + 1)).length)
  assert.deepEqual(counts, [1, 1, 3, 3, 5, 5, 5, 5, 5])
  assert.deepEqual(foundingVoters(members), members.slice(0, 5))
})

test('a member id is a peer and the id of its log store', () => {
  assert.equal(peerOf(memberIdOf('12D3Koo', 'ab01')), '12D3Koo')
  const bad = ['', 'peer', '.ab', 'peer.', 'peer.AB', 'peer.xy', 'a.b.ab', 'pe er.ab', 'peer.a', `p.${'a'.repeat(65)}`]
  for (const one of bad)
    assert.throws(
      () => peerOf(one),
      (error) => isParleyError(error, 'MSG001'),
      one,
    )
  assert.throws(
    () => memberIdOf('with.dot', 'ab'),
    (error) => isParleyError(error, 'MSG001'),
  )
})
