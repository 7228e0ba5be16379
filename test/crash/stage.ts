/**
 * What a scenario of the crash runs plays on: nodes in processes of their own with data directories, and in this process a
 * node without a seat that has the load, and the receiver of directives.
 *
 * State: the nodes, the driver's node, the folder that all of it lives in.
 */

import { appendFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createMesh, type Mesh, makeSecret } from '../../node/index.ts'
import { createLog } from '../../node/observe/log/node-log.ts'
import { createRandom, type Random } from '../soak/random.ts'
import { until } from '../support/until.ts'
import { COUNTER, NOTES, WRITES } from './commands.ts'
import { judgeCounter, judgeDecisions, judgeTaken } from './judge.ts'
import { type Receiver, serveReceiver } from './ledger.ts'
import { type Load, startLoad } from './load.ts'
import { type CrashNode, createNode, freePorts } from './nodes.ts'

export const NAMES = ['one', 'two', 'three', 'four', 'five']
const START_MS = 60_000
const SETTLE_MS = 30_000
/** Of one kind of what is wrong. */
const MOST_TOLD = 5
/** A stage of a few hundred decisions takes snapshots, too. */
const SNAPSHOT_EVERY = 500
/** Who came back without its log votes again soon. */
const STABLE_MS = 1_000

export interface StageOptions {
  readonly seed: number
  /** Nodes that found the mesh; 5 unless told. */
  readonly count?: number
  /** Where this node keeps its data, if not in the stage's folder. */
  dataDirOf?(name: string): string | undefined
  /** Milliseconds between two directives of the coordinator. */
  readonly directEveryMs?: number
  /** Milliseconds between two questions of one program of the load. */
  readonly paceMs?: number
  /** Entries of the log between two snapshots. */
  readonly snapshotEvery?: number
  /** For people who watch. */
  say?(line: string): void
}

export interface Verdict {
  readonly figures: Readonly<Record<string, number>>
  readonly violations: readonly string[]
}

export interface Stage {
  readonly folder: string
  readonly nodes: readonly CrashNode[]
  readonly mesh: Mesh
  readonly load: Load
  readonly receiver: Receiver
  readonly random: Random
  say(line: string): void
  /** Waits for a node that coordinates, as it says itself, of those that are there. */
  coordinator(withinMs?: number): Promise<CrashNode>
  /** The highest term that a node that is there knows. */
  term(): Promise<number>
  /** It has its seat, and all that was decided by now. @returns milliseconds */
  caughtUp(node: CrashNode): Promise<number>
  /** Nothing is asked any more; all have the same, and it is what was answered. Then the load goes on. */
  settle(): Promise<Verdict>
  end(options?: { keep: boolean }): Promise<void>
}

const told = (what: readonly string[]): string[] =>
  what.length <= MOST_TOLD ? [...what] : [...what.slice(0, MOST_TOLD), `and ${what.length - MOST_TOLD} more like these`]

const wait = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const openStage = async (options: StageOptions): Promise<Stage> => {
  const { seed, count = NAMES.length, directEveryMs = 200, paceMs = 100, snapshotEvery = SNAPSHOT_EVERY } = options
  const { say = () => {} } = options
  const folder = await mkdtemp(join(tmpdir(), 'parley-crash-'))
  const random = createRandom(seed)
  const logs = join(folder, 'logs')
  await mkdir(logs)
  const ports = await freePorts(count)
  const addresses = ports.map((port) => `/ip4/127.0.0.1/tcp/${port}`)
  const common = { mesh: 'crash', secret: makeSecret() }
  const write = (line: string): void => appendFileSync(join(logs, 'driver.log'), line)
  const log = createLog({ level: 'info', human: false, fields: { source: 'driver' }, write })
  const mesh = await createMesh({ ...common, name: 'driver', join: addresses, log })
  const receiver = await serveReceiver(mesh)
  const nodes = NAMES.slice(0, count).map((name, i) =>
    createNode({
      name,
      dataDir: options.dataDirOf?.(name) ?? join(folder, name),
      logFile: join(logs, `${name}.log`),
      receiver: mesh.self.id,
      directEveryMs,
      options: {
        ...common,
        listen: [addresses[i] ?? ''],
        join: addresses.filter((_, other) => other !== i),
        coordination: { expect: count, snapshotEvery, stableMs: STABLE_MS },
      },
    }),
  )
  const there = (): CrashNode[] => nodes.filter(({ isThere }) => isThere)
  /** Of one that is killed, stopped or frozen meanwhile there is none. */
  const statusOf = (node: CrashNode) => node.ask('status').catch(() => undefined)

  let turn = 0
  const load = startLoad({
    mesh,
    paceMs,
    async readThrough() {
      const some = there()
      turn += 1
      const node = some[turn % Math.max(1, some.length)]
      if (node === undefined) return undefined
      const found = await node.ask('counter').catch(() => undefined)
      return found && { name: node.name, found }
    },
  })

  const end = async ({ keep } = { keep: false }): Promise<void> => {
    // First: what is asked of nodes that are gone waits as long as it may.
    await load.pause()
    for (const node of there()) await node.kill()
    await mesh.stop()
    if (!keep) await rm(folder, { recursive: true, force: true })
  }

  let meshId: string | undefined
  try {
    await Promise.all(nodes.map((node) => node.start()))
    await mesh.coordinator.found({ signal: AbortSignal.timeout(START_MS) })
    meshId = mesh.coordinator.status().meshId
  } catch (error) {
    await end({ keep: true })
    throw error
  }
  say(`${count} nodes have founded ${meshId}; what they say is in ${logs}`)

  const coordinator = (withinMs = START_MS): Promise<CrashNode> =>
    until(
      'a node coordinates',
      async () => {
        const statuses = await Promise.all(there().map(async (node) => ({ node, status: await statusOf(node) })))
        const acting = statuses.filter(({ status }) => status?.acting === true)
        return acting.toSorted((a, b) => (b.status?.epoch ?? 0) - (a.status?.epoch ?? 0))[0]?.node
      },
      withinMs,
      20,
    )

  /** All that are there hold the same, as many voters as nodes, of this mesh. */
  const agree = async (): Promise<string[]> => {
    const statuses = await Promise.all(nodes.map(async (node) => ({ node, status: await statusOf(node) })))
    const wrong: string[] = []
    for (const { node, status } of statuses) {
      if (status === undefined) wrong.push(`${node.name} does not answer`)
      else if (status.meshId !== meshId) wrong.push(`${node.name} is of the mesh ${status.meshId}, not ${meshId}`)
      else if (status.role !== 'voter' || status.voters.length !== count)
        wrong.push(`${node.name} has the seat ${status.role} among ${status.voters.length} voters`)
      else if (!status.quorum || status.leader === undefined) wrong.push(`${node.name} knows no coordinator`)
    }
    if (wrong.length > 0) return wrong
    const digests = await Promise.all(nodes.map((node) => node.ask('digest').catch(wait)))
    if (new Set(digests).size > 1) return [`they have not the same records: ${digests.join(', ')}`]
    return []
  }

  const judge = async (): Promise<Verdict> => {
    const records = await Promise.all([WRITES, NOTES].map((prefix) => mesh.journal.list(prefix)))
    const last = await mesh.journal.get(COUNTER)
    const history = await mesh.coordinator.history()
    const decided = judgeDecisions(
      load.decisions,
      records.flatMap(({ records: some }) => some),
    )
    const counted = judgeCounter(load.history, last && String(last.value))
    const epochs = history.map(({ epoch }) => epoch)
    const isRising = epochs.every((epoch, i) => epoch > (epochs[i - 1] ?? 0))
    const outcome = (which: string): number => load.decisions.filter((one) => one.outcome === which).length
    const errors = load.decisions.filter((one) => one.outcome !== 'acknowledged')
    const byWhy = Object.entries(Object.groupBy(errors, ({ outcome: which, why }) => `${which} with ${why}`))
    return {
      figures: {
        acknowledged: outcome('acknowledged'),
        refused: outcome('refused'),
        unknown: outcome('unknown'),
        'counter steps': load.history.length,
        lost: decided.lost + counted.lost,
        twice: decided.twice + counted.twice,
        directives: receiver.taken.filter(({ refused }) => refused === undefined).length,
        'directives refused': receiver.taken.filter(({ refused }) => refused !== undefined).length,
        ...Object.fromEntries(byWhy.map(([why, some]) => [why, some?.length ?? 0])),
      },
      violations: [
        ...told(decided.wrong),
        ...told(counted.wrong),
        ...told(judgeTaken(receiver.taken)),
        ...told(load.trouble),
        ...(isRising ? [] : [`epochs do not rise: ${epochs.join(' ')}`]),
      ],
    }
  }

  load.resume()
  return {
    folder,
    nodes,
    mesh,
    load,
    receiver,
    random,
    say,
    coordinator,
    async term() {
      const statuses = await Promise.all(there().map(statusOf))
      return Math.max(0, ...statuses.map((status) => status?.epoch ?? 0))
    },
    async caughtUp(node) {
      const at = performance.now()
      const version = load.version()
      await until(
        `${node.name} has its seat, and what was decided`,
        async () => {
          const status = await statusOf(node)
          return status?.role === 'voter' && status.leader !== undefined && status.version >= version
        },
        SETTLE_MS,
        20,
      )
      return performance.now() - at
    },
    async settle() {
      await load.pause()
      await Promise.all(there().map((node) => node.ask('pauseActing', true)))
      let wrong: string[] = []
      const endsAt = performance.now() + SETTLE_MS
      do {
        wrong = await agree()
        if (wrong.length > 0) await delay(100)
      } while (wrong.length > 0 && performance.now() < endsAt)
      const { figures, violations } = await judge().catch((error: unknown): Verdict => {
        return { figures: {}, violations: [`it could not be judged: ${wait(error)}`] }
      })
      await Promise.all(there().map((node) => node.ask('pauseActing', false)))
      load.resume()
      return { figures, violations: [...wrong, ...violations] }
    },
    end,
  }
}
