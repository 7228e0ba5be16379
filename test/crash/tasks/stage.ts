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
import { Outside } from './outside.ts'
import type { TaskNote, TaskVerbs } from './verbs.ts'

const PROGRAM = pathToFileURL(programOf('test/crash/tasks/task-process.ts')).href
export const VOTERS = ['one', 'two', 'three', 'four', 'five'] as const
export const WORKER = 'six'
export const REQUESTER = 'seven'
const SETTLE_MS = 30_000

interface Order {
  readonly options: MeshOptionsInput
  readonly logFile: string
  readonly works: boolean
}

export class TaskNode {
  readonly name: string
  readonly isVoter: boolean
  readonly #outside: Outside
  readonly #order: Order
  #child: Child<TaskVerbs> | undefined
  isThere = false

  constructor(name: string, isVoter: boolean, outside: Outside, order: Order) {
    this.name = name
    this.isVoter = isVoter
    this.#outside = outside
    this.#order = order
  }

  /** @throws Error where it does not run, or was killed meanwhile */
  ask: Child<TaskVerbs>['ask'] = async (verb, ...input) => {
    if (this.#child === undefined) throw new Error(`${this.name} does not run`)
    return this.#child.ask(verb, ...input)
  }

  async start(): Promise<void> {
    const child: Child<TaskVerbs> = forkChild<TaskVerbs>(PROGRAM, (note) => {
      const told = note as unknown as TaskNote
      this.#outside.hear(told, this.name)
      if (told.type === 'run') child.ask('ran', told.run.serial).catch(() => {})
    })
    this.#child = child
    const started = await child.ask('start', { ...this.#order, options: { ...this.#order.options, name: this.name } })
    if ('refusal' in started) throw new StartRefused(this.name, started.refusal)
    this.isThere = this.#child === child
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

export const openTaskStage = async (seed: number): Promise<TaskStage> => {
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
      coordination: isVoter ? { expect: VOTERS.length, snapshotEvery: 500 } : { voter: 'never' },
    }
    return new TaskNode(name, isVoter, outside, {
      options,
      logFile: join(logs, `${name}.log`),
      works: name !== REQUESTER,
    })
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
