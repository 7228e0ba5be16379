/** Resources where the clocks of nodes differ, as much as may be: nothing ends for it, and who waits waits as long as it said. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../protocols/errors.ts'
import { resourceProtocol } from '../../../protocols/resource/contract.ts'
import { resourceJournal } from '../../../protocols/resource/journal/resource-kinds.ts'
import { NODE_PREFIX, RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { createResources, type ResourcesFeature } from '../../../protocols/resource/resources.ts'
import { createJournalMesh, type JournalNode } from '../../support/journal-mesh.ts'

const NAMES = ['m0', 'm1', 'm2']
const AHEAD_MS = 50_000
/** Without an answer of the coordinator a program waits so much longer. */
const SOON_MS = 2_000

interface Started {
  readonly node: JournalNode
  readonly resources: ResourcesFeature
}

/** @param aheadMs of clocks, by name */
const started = async (aheadMs: Readonly<Record<string, number>>) => {
  const mesh = createJournalMesh({
    ...{ seed: 7, clockAheadMs: (name: string) => aheadMs[name] ?? 0 },
    autopilot: { stableMs: 1_000, replaceAfterMs: 600_000 },
  })
  const { time } = mesh
  const all = new Map<string, Started>()
  for (const name of NAMES) {
    const node = await mesh.start(name, { expect: 3, parts: [{ ...resourceJournal, name: RESOURCES_PART }] })
    const { port, journal, coordinator, events, seat } = node
    const resources = createResources({ port, journal, coordinator, events, member: seat })
    await port.serve(resourceProtocol, resources.handlers)
    resources.offer({ gpu: 1 }).catch(() => {})
    all.set(name, { node, resources })
  }
  const leader = await mesh.untilLeader(60_000)
  const seen = (): number => [...leader.machine().records.all()].filter(({ key }) => key.startsWith(NODE_PREFIX)).length
  await time.until(() => seen() === 3, 60_000)
  const kill = (name: string): void => {
    mesh.kill((all.get(name) as Started).node)
    all.delete(name)
  }
  const nameOfLeader = (): string => NAMES.find((name) => all.get(name)?.node === mesh.leader()) ?? ''
  /** How long somebody waited for what is not free. */
  const denied = async ({ resources }: Started, timeoutMs: number): Promise<number> => {
    const since = time.now()
    const asked = resources.allocate({ units: { gpu: 1 }, count: 9, timeoutMs }).catch((error: unknown) => error)
    const error = await time.settled(asked, 120_000)
    assert.ok(isParleyError(error, 'COM003') && error.reason === 'resource-denied', String(error))
    return time.now() - since
  }
  return { mesh, time, all, kill, nameOfLeader, denied }
}

const only = (all: ReadonlyMap<string, Started>): Started => {
  const [one] = [...all.values()]
  if (one === undefined) throw new Error('nobody is left')
  return one
}

for (const where of ['ahead of', 'behind'] as const)
  test(`the clock of the coordinator was ${where} that of the next one: leases go on, and who asks is answered in time`, async () => {
    // Whoever coordinates first has another clock than the others.
    const probe = await started({})
    const first = probe.nameOfLeader()
    for (const { node } of probe.all.values()) probe.mesh.kill(node)

    const { mesh, time, all, kill, nameOfLeader, denied } = await started({
      [first]: where === 'ahead of' ? AHEAD_MS : -AHEAD_MS,
    })
    assert.equal(nameOfLeader(), first)
    const other = all.get(NAMES.find((name) => name !== first) ?? '') as Started
    const held = await time.settled(
      other.resources.allocate({ parts: [{ units: { gpu: 1 }, owner: other.node.id }], timeoutMs: 5_000 }),
      60_000,
    )
    kill(first)
    await mesh.untilLeader(60_000)
    await time.run(1_000)
    assert.ok((await denied(only(all), 0)) < SOON_MS)
    const waitedMs = await denied(only(all), 4_000)
    assert.ok(waitedMs > 3_000 && waitedMs < 4_000 + SOON_MS, `${waitedMs}`)
    await time.run(120_000)
    assert.equal(held.signal.aborted, false, String(held.signal.reason))
    for (const { node } of all.values()) mesh.kill(node)
  })
