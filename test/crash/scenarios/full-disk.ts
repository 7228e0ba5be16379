/**
 * The coordinator's disk has no room any more: it steps down, says so, and is not ready; the others decide on. Once there
 * is room again it comes back by itself. Where it is the only voter, commands fail with an error that says why, and go on.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { isParleyError } from '../../../protocols/errors.ts'
import { failureOf, timed, until } from '../../support/until.ts'
import { waits } from '../judge.ts'
import type { CrashNode } from '../nodes.ts'
import type { Findings } from '../play.ts'
import type { SmallDisk } from '../small-disk.ts'
import type { Stage } from '../stage.ts'

const FULL_MS = 3_000
const STEP_DOWN_MS = 5_000
const BACK_MS = 15_000
const ASK_MS = 2_000
const ABOUT_ROOM = /room|space|full/i

/** Of decisions that are larger than the room that a log has made ahead. */
const ROOM_DECISIONS = 16
const ROOM_BYTES = 60_000

/** Uses up the room that logs have made ahead: until then a full disk is none for them. */
const useRoom = async (mesh: Stage['mesh']): Promise<void> => {
  for (let i = 0; i < ROOM_DECISIONS; i += 1) {
    try {
      await mesh.journal.put('full/room', `${i} ${'x'.repeat(ROOM_BYTES)}`, { timeoutMs: ASK_MS })
    } catch {
      return
    }
  }
}

interface Ready {
  readonly status: number
  readonly reasons: string
}

const readiness = async (node: CrashNode): Promise<Ready> => {
  const { status, body } = await node.ask('look', '/readyz')
  return { status, reasons: body }
}

/** Ready again, and it has all. @returns milliseconds */
const recovered = async (stage: Stage, node: CrashNode): Promise<number> => {
  const { ms } = await timed(async () => {
    await until(`${node.name} is ready again`, async () => (await readiness(node)).status === 200, BACK_MS)
    await stage.caughtUp(node)
  })
  return ms
}

/** @param disk of one of the nodes, which is made the coordinator */
export const fullDisk =
  (disk: SmallDisk) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, load, mesh } = stage
    const violations: string[] = []
    const node = nodes.find(({ dataDir }) => dataDir.startsWith(disk.path))
    if (node === undefined) throw new Error('no node lives on the small disk')
    if ((await stage.coordinator()) !== node) await mesh.coordinator.transfer(node.id)
    await until('it coordinates', async () => (await node.ask('status')).acting)
    const before = await stage.term()
    const known = load.decisions.length

    const from = performance.now()
    await disk.fill()
    const using = useRoom(mesh)
    const next = await until(
      'another one coordinates',
      async () => {
        const leader = await stage.coordinator()
        return leader === node ? undefined : leader
      },
      STEP_DOWN_MS,
    )
    const otherMs = performance.now() - from
    await using
    await load.probe()
    const actingOn = await until(
      `${node.name} acts no more`,
      async () => (await node.ask('status')).acting === false,
      STEP_DOWN_MS,
    ).catch(() => false)
    if (actingOn === false)
      violations.push(`${node.name} says that it acts on, without room and with ${next.name} there`)
    const { status, reasons } = await readiness(node)
    if (status !== 503 || !ABOUT_ROOM.test(reasons))
      violations.push(`/readyz of ${node.name} says ${status} ${reasons}`)
    await delay(FULL_MS)
    await load.probe()
    const { gapMs } = waits(load.decisions, from, performance.now())

    await disk.makeRoom()
    const backMs = await recovered(stage, node)

    // It starts there too, in the room that it kept for that, and says that there is none once that is gone.
    await disk.fill()
    await node.kill()
    await node.start()
    await disk.fill()
    await useRoom(mesh)
    const said = async () => ABOUT_ROOM.test((await readiness(node)).reasons)
    await until('it says that there is no room', said, STEP_DOWN_MS).catch(() =>
      violations.push('a start without room, and nothing is said of it'),
    )
    await disk.makeRoom()
    await stage.caughtUp(node)
    const terms = (await stage.term()) - before
    const errors = load.decisions.slice(known).filter(({ outcome }) => outcome !== 'acknowledged')
    for (const { key, outcome, why } of errors.slice(0, 5)) violations.push(`${key} was ${outcome}: ${why}`)
    if (terms > 2) violations.push(`${terms} terms`)
    return {
      figures: {
        'another acts, ms': otherMs,
        'longest gap, ms': gapMs,
        'ready again, ms': backMs,
        errors: errors.length,
      },
      violations,
    }
  }

/** The same with one voter, which all others need. */
export const fullDiskAlone =
  (disk: SmallDisk) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, mesh, load } = stage
    const [node] = nodes
    if (node === undefined) throw new Error('there is a node')
    const violations: string[] = []
    await load.probe()
    await disk.fill()
    await useRoom(mesh)
    // What is on its way to the disk may be decided once there is room; what comes then is refused.
    await until('it has no room', async () => (await readiness(node)).status === 503, STEP_DOWN_MS)
    const { reasons } = await readiness(node)
    if (!ABOUT_ROOM.test(reasons)) violations.push(`/readyz says ${reasons}`)
    const { value: error, ms } = await timed(() =>
      failureOf(mesh.journal.put('full/refused', 1, { timeoutMs: ASK_MS })),
    )
    if (!isParleyError(error, 'STA003') || error.details.reason !== 'disk-full') {
      const told = isParleyError(error) ? `${error.code} ${error.details.reason}: ${error.message}` : String(error)
      violations.push(`a command fails with ${told}, not with STA003 disk-full`)
    }
    const local = await mesh.journal.list('', { consistency: 'local' })
    if (local.records.length === 0) violations.push('what is there cannot be read')
    await disk.makeRoom()
    const { ms: backMs } = await timed(() => load.probe())
    const readyMs = await recovered(stage, node)
    const refused = await mesh.journal.get('full/refused')
    if (refused !== undefined) violations.push('what was refused is there')
    return { figures: { 'refused after, ms': ms, 'decides again, ms': backMs, 'ready again, ms': readyMs }, violations }
  }
