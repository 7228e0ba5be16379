/** Parts of the journal in whole groups: who may vote, when a command is taken, what becomes of who does not know one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { isParleyError } from '../../../protocols/errors.ts'
import { type JournalPart, PARTS_LEVEL } from '../../../protocols/journal/part-kinds.ts'
import { COLLECTIONS_LEVEL } from '../../../protocols/journal/state/collection-rows.ts'
import { type AnyCommandKind, defineJournalCommand } from '../../../protocols/journal/state/command-kind.ts'
import { partPrefix } from '../../../protocols/part.ts'
import { createJournalMesh, type JournalMesh, type JournalNode } from '../../support/journal-mesh.ts'

const KEY = `${partPrefix('acme/tally')}count`
const command = (verb: string, level: number) =>
  defineJournalCommand({
    name: `acme/tally.${verb}`,
    level,
    input: z.object({ by: z.int() }),
    output: z.int(),
    apply(tx, { by }) {
      const next = z.int().parse(tx.get(KEY) ?? 0) + by
      tx.put(KEY, next)
      return next
    },
  })
const add = command('add', 1)
const take = command('take', 2)
const tally = (level: number): JournalPart => ({
  name: 'acme/tally',
  level,
  maxBytes: 10_000,
  kinds: [add, take].filter((kind) => kind.level <= level) as readonly AnyCommandKind[],
})

const decide = async (mesh: JournalMesh, node: JournalNode, kind = add): Promise<unknown> =>
  mesh.time.settled(
    node.journal.submit(kind, { by: 1 }, { timeoutMs: 2_000 }).then(
      ({ result }) => result,
      (error: unknown) => (isParleyError(error) ? `${error.code} ${error.details.reason} ${error.message}` : error),
    ),
    4_000,
  )
const voters = (node: JournalNode): number => node.coordinator.status().voters.length
const quick = { stableMs: 1_000 }

test('a command of a part is taken once every voter has the part, at the level that all of them have', async () => {
  const mesh = createJournalMesh({ autopilot: quick })
  const names = ['m0', 'm1', 'm2']
  const nodes: JournalNode[] = []
  for (const name of names)
    nodes.push(await mesh.start(name, { expect: 3, parts: name === 'm2' ? [] : [tally(name === 'm0' ? 2 : 1)] }))
  const [a, , c] = nodes
  assert.ok(a && c)
  await mesh.untilLeader(10_000)
  await mesh.time.run(12_000)
  assert.match(
    String(await decide(mesh, a)),
    /level acme\/tally\.add needs acme\/tally@1, and not every voter has it|unknown-command/,
  )
  mesh.kill(c)
  const again = await mesh.start('m2', { parts: [tally(2)] })
  await mesh.time.run(15_000)
  assert.equal(await decide(mesh, again), 1)
  // One voter has the first level alone.
  assert.match(String(await decide(mesh, again, take)), /level|unknown-command/)
  const b = mesh.up().find(({ name }) => name === 'm1')
  assert.ok(b)
  mesh.kill(b)
  const newer = await mesh.start('m1', { parts: [tally(2)] })
  await mesh.time.run(15_000)
  assert.equal(await decide(mesh, newer, take), 2)
  await mesh.time.run(1_000)
  for (const node of mesh.up()) assert.equal(node.value(KEY), 2)
})

test('voters of the version before work beside new ones; parts begin when the last of them is new', async () => {
  const mesh = createJournalMesh({ autopilot: quick })
  for (const name of ['m0', 'm1', 'm2'])
    await mesh.start(name, { expect: 3, ...(name === 'm2' ? { level: PARTS_LEVEL - 1 } : { parts: [tally(1)] }) })
  await mesh.untilLeader(10_000)
  await mesh.time.run(12_000)
  for (const node of mesh.up()) {
    const put = mesh.time.settled(node.journal.put(`of/${node.name}`, 1), 4_000)
    assert.ok((await put).fence.index > 0)
    assert.equal(node.value('$level'), PARTS_LEVEL - 1)
  }
  const [first] = mesh.up()
  assert.ok(first)
  assert.match(String(await decide(mesh, first)), /level|unknown-command/)
  const old = mesh.up().find(({ name }) => name === 'm2')
  assert.ok(old)
  mesh.kill(old)
  const upgraded = await mesh.start('m2', { parts: [tally(1)] })
  await mesh.time.run(15_000)
  assert.equal(await decide(mesh, upgraded), 1)
  for (const node of mesh.up()) assert.equal(node.value('$level'), COLLECTIONS_LEVEL)
})

test('nobody becomes a voter without a part that decides; with it, the same node does', async () => {
  const mesh = createJournalMesh({ autopilot: quick })
  const founder = await mesh.start('m0', { expect: 1, parts: [tally(1)] })
  await mesh.untilLeader(10_000)
  await mesh.time.run(8_000)
  assert.equal(await decide(mesh, founder), 1)
  const bare = await mesh.start('bare')
  await mesh.start('m1', { parts: [tally(1)] })
  await mesh.time.run(60_000)
  assert.equal(voters(founder), 1)
  assert.equal(bare.coordinator.status().role, 'none')
  mesh.kill(bare)
  const fit = await mesh.start('bare', { parts: [tally(1)] })
  await mesh.time.run(30_000)
  assert.equal(voters(founder), 3)
  assert.equal(fit.coordinator.status().role, 'voter')
  assert.equal(fit.value(KEY), 1)
})

test('a voter that meets a command which it does not know leaves its seat, says why, and is replaced', async () => {
  const mesh = createJournalMesh({ autopilot: quick })
  for (const name of ['m0', 'm1', 'm2', 'm3']) await mesh.start(name, { expect: 4, parts: [tally(1)] })
  const leader = await mesh.untilLeader(10_000)
  await mesh.time.run(12_000)
  const spare = mesh.up().find(({ coordinator }) => coordinator.status().role !== 'voter')
  assert.equal(await decide(mesh, leader), 1)
  const victim = mesh.up().find((node) => node !== leader && node !== spare)
  assert.ok(victim)
  mesh.kill(victim)
  const without = await mesh.start(victim.name)
  await mesh.time.run(1_000)
  assert.equal(await decide(mesh, leader), 2)
  await mesh.time.run(40_000)
  assert.match(without.problem() ?? '', /acme\/tally\.add, which this node has not/)
  assert.equal(without.coordinator.status().role, 'none')
  assert.ok(without.logs.some(({ level, message }) => level === 'error' && /leaves its seat/.test(message)))
  assert.ok(!leader.coordinator.status().voters.some((id) => id.startsWith(without.id)))
  assert.ok(voters(leader) === 3 || spare === undefined)
  assert.equal(await decide(mesh, leader), 3)
  // With the part it comes back.
  mesh.kill(without)
  const fit = await mesh.start(victim.name, { parts: [tally(1)] })
  await mesh.time.run(40_000)
  assert.equal(fit.problem(), undefined)
  assert.equal(fit.value(KEY) ?? fit.coordinator.status().role, fit.coordinator.status().role === 'none' ? 'none' : 3)
})
