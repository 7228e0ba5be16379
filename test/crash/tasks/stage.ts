/**
 * What a scenario of tasks plays on: seven nodes in processes of their own, five of them voters. All but one work; that one, and
 * whoever is asked, submits. State: the nodes, the outside, the folder that all of it lives in.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type MeshOptionsInput, makeSecret } from '../../../node/index.ts'
import { type Child, forkChild } from '../../soak/child.ts'
import { createRandom, type Random } from '../../soak/random.ts'
import { programOf } from '../../support/program.ts'
import { until } from '../../support/until.ts'
import { freePorts, StartRefused } from '../nodes.ts'
import { LARGE_TYPE } from './large.ts'
import { Outside } from './outside.ts'
import { TASK_TYPE } from './plan.ts'
import type { TaskNote, TaskVerbs } from './verbs.ts'

const PROGRAM = 'test/crash/tasks/task-process.ts'
export const VOTERS = ['one', 'two', 'three', 'four', 'five'] as const
export const WORKER = 'six'
export const REQUESTER = 'seven'
const SETTLE_MS = 90_000
const SNAPSHOT_EVERY = 500
/** Who comes back without its seat votes again soon. */
const STABLE_MS = 1_000

/** What a process of a node is: which program, and which types of tasks it works on. */
export interface Release {
  /** URL. */
  readonly program: string
  readonly types: readonly string[]
}

/** This tree's. */
export const releaseOf = (...types: readonly string[]): Release => ({
  program: pathToFileURL(programOf(PROGRAM)).href,
  types,
})
interface Order {
  readonly options: MeshOptionsInput
  readonly logFile: string
}

export class TaskNode {
  readonly name: string
  readonly isVoter: boolean
  readonly #outside: Outside
  readonly #order: Order
  #child: Child<TaskVerbs> | undefined
  /** What it is started as next. */
  release: Release
  isThere = false
  /** Peer id; empty before the first start. */
  id = ''

  constructor(name: string, isVoter: boolean, outside: Outside, order: Order, release: Release) {
    this.name = name
    this.isVoter = isVoter
    this.#outside = outside
    this.#order = order
    this.release = release
  }

  get logFile(): string {
    return this.#order.logFile
  }

  get dataDir(): string {
    return String(this.#order.options.dataDir)
  }

  /** @throws Error where it does not run, or was killed meanwhile */
  ask: Child<TaskVerbs>['ask'] = async (verb, ...input) => {
    if (this.#child === undefined) throw new Error(`${this.name} does not run`)
    return this.#child.ask(verb, ...input)
  }

  async start(): Promise<void> {
    const { program, types } = this.release
    const child: Child<TaskVerbs> = forkChild<TaskVerbs>(program, (note) => {
      const told = note as unknown as TaskNote
      this.#outside.hear(told, this.name)
      if (told.type === 'run') this.#outside.whenFree(() => void child.ask('ran', told.run.serial).catch(() => {}))
    })
    this.#child = child
    const options = { ...this.#order.options, name: this.name }
    const started = await child.ask('start', { ...this.#order, options, types })
    if ('refusal' in started) throw new StartRefused(this.name, started.refusal)
    this.id = started.id
    this.isThere = this.#child === child
  }

  /** SIGTERM; resolves once it is gone, with how it ended. */
  async terminate(): Promise<number | NodeJS.Signals> {
    const child = this.#child
    if (child === undefined) throw new Error(`${this.name} does not run`)
    this.isThere = false
    process.kill(child.pid, 'SIGTERM')
    const how = await child.ended
    if (this.#child === child) this.#child = undefined
    return how
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.isThere = false
    this.#child = undefined
    await child?.kill()
  }
}

export interface TaskStage {
  readonly folder: string
  readonly nodes: readonly TaskNode[]
  readonly outside: Outside
  readonly random: Random
  node(name: string): TaskNode
  /** The one that coordinates, as it says itself; undefined where nobody does at the moment. */
  coordinator(): Promise<TaskNode | undefined>
  end(options?: { keep: boolean }): Promise<void>
}

export interface TaskStageOptions {
  readonly seed: number
  /** What all of them are started as; the requester works on nothing. */
  readonly release?: Release
  /** Of all nodes. */
  readonly more?: MeshOptionsInput
  /** Entries of the journal from one snapshot to the next. */
  readonly snapshotEvery?: number
}

export const openTaskStage = async ({
  seed,
  release = releaseOf(TASK_TYPE, LARGE_TYPE),
  more = {},
  snapshotEvery = SNAPSHOT_EVERY,
}: TaskStageOptions): Promise<TaskStage> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-crash-'))
  const logs = join(folder, 'logs')
  await mkdir(logs)
  const names = [...VOTERS, WORKER, REQUESTER]
  const addresses = (await freePorts(names.length)).map((port) => `/ip4/127.0.0.1/tcp/${port}`)
  const secret = makeSecret()
  const outside = new Outside()
  const nodes = names.map((name, i) => {
    const isVoter = i < VOTERS.length
    const options: MeshOptionsInput = {
      ...{ mesh: 'crash', secret, listen: [addresses[i] ?? ''], debug: false, control: false },
      ...{ join: addresses.filter((_, other) => other !== i), dataDir: join(folder, name) },
      coordination: isVoter ? { expect: VOTERS.length, snapshotEvery, stableMs: STABLE_MS } : { voter: 'never' },
      ...more,
    }
    const order = { options, logFile: join(logs, `${name}.log`) }
    const own = name === REQUESTER ? { ...release, types: [] } : release
    return new TaskNode(name, isVoter, outside, order, own)
  })
  const coordinator = async (): Promise<TaskNode | undefined> => {
    const there = nodes.filter(({ isThere, isVoter }) => isThere && isVoter)
    const all = await Promise.all(
      there.map(async (node) => ({ node, status: await node.ask('status').catch(() => undefined) })),
    )
    const acting = all.filter(({ status }) => status?.acting === true)
    return acting.toSorted((a, b) => (b.status?.epoch ?? 0) - (a.status?.epoch ?? 0))[0]?.node
  }
  const end = async ({ keep } = { keep: false }): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill()))
    if (!keep) await rm(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(nodes.map((node) => node.start()))
    await until('a node coordinates', coordinator, SETTLE_MS, 50)
  } catch (error) {
    await end({ keep: true })
    throw error
  }
  return {
    ...{ folder, nodes, outside, coordinator, end, random: createRandom(seed) },
    node(name) {
      const found = nodes.find((one) => one.name === name)
      if (found === undefined) throw new Error(`there is no ${name}`)
      return found
    },
  }
}
