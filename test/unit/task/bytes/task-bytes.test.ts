/** Large values of tasks in virtual time, on the real journal: who looks after them, who gets them, and what has no room. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import { taskBytesProtocol } from '../../../../protocols/task/bytes/bytes-contract.ts'
import { readStored, type StoredBytes } from '../../../../protocols/task/bytes/stored-bytes.ts'
import { AWAY_MS, CARE, createTaskMesh, type TaskNode } from '../../../support/task-mesh.ts'

const NAMES = ['m0', 'm1', 'm2', 'm3', 'm4']
/** All that is not referred to is gone by then, and all that lacks a copy has one. */
const CARED_MS = CARE.orphanMs + 2 * CARE.lookMs
const INPUT = 'i'.repeat(20_000)

const reasonOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
    return 'none'
  } catch (error) {
    return isParleyError(error) ? `${error.code} ${String(error.details.reason ?? '')}`.trim() : String(error)
  }
}

const begin = async (seed: number, diskless: readonly string[] = [], retainMs = 3_600_000) => {
  const mesh = createTaskMesh(seed, retainMs)
  for (const name of NAMES) await mesh.start(name, { expect: NAMES.length, hasDisk: !diskless.includes(name) })
  await mesh.mesh.untilLeader(20_000)
  await mesh.time.run(5_000)
  const settled = <T>(promise: Promise<T>): Promise<T> => mesh.time.settled(promise, 60_000)
  const storedOf = async (from: TaskNode, id: string): Promise<StoredBytes | undefined> =>
    readStored((await settled(from.tasks.get(id).recorded()))?.input)
  const submit = async (from: TaskNode, id: string, input: string = INPUT): Promise<StoredBytes> => {
    await settled(from.tasks.submit({ id, type: 'nobody', input }))
    const stored = await storedOf(from, id)
    if (stored === undefined) throw new Error('it stands in the journal')
    return stored
  }
  const nodeOf = (peer: string | undefined): TaskNode => {
    const one = [...mesh.nodes.values()].find(({ node }) => node.id === peer)
    if (one === undefined) throw new Error(`${peer} is not there`)
    return one
  }
  /** Who has it on disk. */
  const holding = (): string[] =>
    [...mesh.nodes.values()].filter(({ bytes }) => bytes.figures().held > 0).map(({ node }) => node.id)
  return { ...mesh, settled, submit, storedOf, nodeOf, holding }
}

describe('large values of tasks', () => {
  it('are held by three, and by another one where one of them is gone for long enough', async () => {
    const { of, kill, time, submit, storedOf, nodeOf, holding } = await begin(1)
    const stored = await submit(of('m0'), 'one')
    assert.deepEqual([...stored.holders].sort(), holding().sort())
    assert.equal(stored.holders.length, 3)
    const gone = nodeOf(stored.holders.find((peer) => peer !== of('m0').node.id))
    kill(gone)
    await time.run(AWAY_MS / 2)
    assert.ok((await storedOf(of('m0'), 'one'))?.holders.includes(gone.node.id))
    await time.run(3 * AWAY_MS)
    const after = await storedOf(of('m0'), 'one')
    assert.equal(after?.holders.length, 3)
    assert.ok(!after.holders.includes(gone.node.id))
    assert.deepEqual([...after.holders].sort(), holding().sort())
  })

  it('who comes back holds no more what another one holds by now; it goes there after a while', async () => {
    const { of, start, kill, time, submit, nodeOf } = await begin(2)
    const stored = await submit(of('m0'), 'one')
    const gone = nodeOf(stored.holders.find((peer) => peer !== of('m0').node.id))
    kill(gone)
    await time.run(4 * AWAY_MS)
    const back = await start(gone.name)
    await time.run(5_000)
    assert.equal(back.bytes.figures().held, 1)
    await time.run(CARED_MS)
    assert.equal(back.bytes.figures().held, 0)
    assert.equal((await back.disk?.list())?.length, 0)
  })

  it('a holder that lost its disk gets its copy again', async () => {
    const { of, start, kill, time, submit, nodeOf } = await begin(3)
    const stored = await submit(of('m0'), 'one')
    const loser = nodeOf(stored.holders.find((peer) => peer !== of('m0').node.id))
    kill(loser)
    for (const name of (await loser.disk?.list()) ?? []) await loser.disk?.remove(name)
    const back = await start(loser.name)
    assert.equal(back.bytes.figures().held, 0)
    await time.run(CARED_MS)
    assert.equal(back.bytes.figures().held, 1)
  })

  it('go a while after the last task that refers to them, and not before', async () => {
    const { of, time, settled, submit, holding } = await begin(4)
    await submit(of('m0'), 'one')
    await time.run(CARED_MS)
    assert.equal(holding().length, 3)
    // It is completed.
    await settled(of('m0').tasks.work('nobody', () => 1))
    await settled(of('m0').tasks.get('one').result())
    await time.run(CARED_MS)
    assert.deepEqual(holding(), [])
  })

  it('of a task that failed or was canceled stay for as long as it can be submitted again', async () => {
    const { of, time, settled, submit, holding } = await begin(4, [], 2 * CARED_MS)
    await submit(of('m0'), 'one')
    await settled(of('m0').tasks.get('one').cancel())
    await time.run(CARED_MS)
    assert.equal(holding().length, 3)
    await time.run(3 * CARED_MS)
    assert.deepEqual(holding(), [])
  })

  it('a damaged copy is never taken for the value: who reads it has its holder look, and it is made again', async () => {
    const { of, time, settled, submit, nodeOf } = await begin(5)
    const stored = await submit(of('m0'), 'one')
    const [first, second] = stored.holders.map((peer) => nodeOf(peer))
    for (const disk of [first?.disk, second?.disk]) {
      const [name = ''] = (await disk?.list()) ?? []
      disk?.flip(name, disk.size(name) - 10)
    }
    const reader = NAMES.map(of).find(({ node }) => !stored.holders.includes(node.id))
    if (reader === undefined) throw new Error('all hold it')
    await settled(reader.tasks.work('nobody', ({ input }, task) => task.waitFor('end', { prompt: input === INPUT })))
    await time.run(5_000)
    // What it got was right.
    assert.equal((await settled(of('m0').tasks.get('one').state())).record.wait?.prompt, true)
    await time.run(CARED_MS)
    const parts = await Promise.all(
      stored.holders.map((peer) => {
        const place = { task: 'one', row: 'input', hash: stored.hash, verify: true }
        return settled(reader.node.port.to(peer, taskBytesProtocol).has(place))
      }),
    )
    // Those that nobody read are damaged as before, and found when they are.
    assert.ok(parts.filter(({ has }) => has).length >= 2)
    await time.run(CARED_MS)
    const found = stored.holders.map((peer) => nodeOf(peer).bytes.figures())
    assert.deepEqual(
      [found.map(({ held }) => held), found.reduce((sum, { damaged }) => sum + damaged, 0)],
      [[1, 1, 1], 2],
    )
  })

  it('a copy that is damaged while nobody asks for it is found, and made again', async () => {
    const { of, time, submit, nodeOf } = await begin(10)
    const stored = await submit(of('m0'), 'one')
    await time.run(CARED_MS)
    const nodes = stored.holders.map((peer) => nodeOf(peer))
    const [, second] = nodes
    const [name = ''] = (await second?.disk?.list()) ?? []
    second?.disk?.flip(name, second.disk.size(name) - 10)
    await time.run(CARE.rereadMs + 2 * CARE.lookMs + CARED_MS)
    assert.deepEqual(
      nodes.map(({ bytes }) => [bytes.figures().held, bytes.figures().damaged]),
      [
        [1, 0],
        [1, 1],
        [1, 0],
      ],
    )
  })

  it('a damaged copy of the first holder keeps nobody from making another one, and is made again itself', async () => {
    const { of, start, kill, time, submit, nodeOf } = await begin(9)
    const stored = await submit(of('m0'), 'one')
    const [first, , last] = stored.holders.map((peer) => nodeOf(peer))
    if (first?.disk === undefined || last === undefined) throw new Error('too few')
    const [name = ''] = await first.disk.list()
    first.disk.flip(name, first.disk.size(name) - 10)
    kill(last)
    for (const lost of (await last.disk?.list()) ?? []) await last.disk?.remove(lost)
    await start(last.name)
    await time.run(CARED_MS)
    const found = stored.holders.map((peer) => nodeOf(peer).bytes.figures())
    assert.deepEqual(
      found.map(({ held, damaged }) => [held, damaged]),
      [
        [1, 1],
        [1, 0],
        [1, 0],
      ],
    )
  })

  it('where fewer nodes have a disk there are fewer copies, and without any it is refused; more come when more are there', async () => {
    const { of, start, kill, time, settled, submit, storedOf } = await begin(6, ['m0', 'm2', 'm3', 'm4'])
    const stored = await submit(of('m0'), 'one')
    assert.deepEqual(stored.holders, [of('m1').node.id])
    for (const name of ['m2', 'm3']) {
      kill(of(name))
      await start(name)
    }
    await time.run(CARED_MS)
    assert.equal((await storedOf(of('m0'), 'one'))?.holders.length, 3)
    for (const name of ['m1', 'm2', 'm3']) kill(of(name))
    assert.equal(await reasonOf(settled(of('m0').tasks.submit({ type: 'nobody', input: INPUT }))), 'STA003 no-holder')
  })

  it('one peer may fill its share, and others have room then', async () => {
    const { of, settled } = await begin(7, ['m0', 'm1'])
    const fill = async (from: TaskNode): Promise<{ held: number; why: string }> => {
      for (let n = 0; ; n += 1) {
        const input = `${from.name} ${n} `.padEnd(60_000, 'x')
        const why = await reasonOf(settled(from.tasks.submit({ type: 'nobody', input })))
        if (why !== 'none') return { held: n, why }
      }
    }
    const first = await fill(of('m0'))
    assert.equal(first.why, 'STA003 no-holder')
    // Three quarters of 1 MiB, in values of 60 kB.
    assert.ok(first.held >= 12 && first.held <= 14, `${first.held}`)
    assert.ok((await fill(of('m1'))).held > 0)
    const { refused } = of('m2').bytes.figures()
    assert.ok(refused > 0)
  })

  it('only holders ask for another one, only of the coordinator, and only where one is gone or missing', async () => {
    const { of, settled, submit, nodeOf, mesh } = await begin(8)
    const stored = await submit(of('m0'), 'one')
    const leader = mesh.leader()
    if (leader === undefined) throw new Error('nobody coordinates')
    const [a, b] = stored.holders.map((peer) => nodeOf(peer))
    const outsider = NAMES.map(of).find(({ node }) => !stored.holders.includes(node.id) && node.id !== leader.id)
    const spare = NAMES.map(of).find(({ node }) => !stored.holders.includes(node.id))
    if (a === undefined || b === undefined || outsider === undefined || spare === undefined) throw new Error('too few')
    const place = { task: 'one', row: 'input', hash: stored.hash }
    const ask = (from: TaskNode, to: string, moved: { from?: string; to: string }): Promise<string> =>
      reasonOf(settled(from.node.port.to(to, taskBytesProtocol).replace({ ...place, ...moved })))
    const others = NAMES.map(of).filter(({ node }) => node.id !== leader.id)
    const [notLeader] = others
    const asker = [a, b].find(({ node }) => node.id !== leader.id) ?? a
    const gone = { from: b.node.id, to: spare.node.id }
    assert.equal(await ask(outsider, leader.id, gone), 'SEC002')
    assert.equal(await ask(asker, leader.id, gone), 'STA003 holder-there')
    assert.equal(await ask(asker, leader.id, { to: spare.node.id }), 'STA003 holder-there')
    const elsewhere = notLeader?.node.id === asker.node.id ? others[1] : notLeader
    assert.equal(await ask(asker, elsewhere?.node.id ?? '', gone), 'STA003 not-leader')
    const unknown = { ...place, hash: '0'.repeat(64) }
    const asked = asker.node.port.to(leader.id, taskBytesProtocol).replace({ ...unknown, ...gone })
    assert.equal(await reasonOf(settled(asked)), 'STA003 missing')
  })
})
