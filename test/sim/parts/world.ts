/**
 * A part as others write them, on nodes of the simulated mesh: the same file and the same runner as on a real node. Nodes
 * are killed, cut off, and started without the part; everything follows from the seed.
 *
 * At the end all have the part and are connected again: what was acknowledged has counted, once, and no voter was stopped by
 * a command that it does not know without saying so.
 */
import { PartRunner } from '../../../node/parts/runner.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import type { AnyPart } from '../../../protocols/part.ts'
import { tokens } from '../../../protocols/tokens.ts'
import { counter, counterProtocol } from '../../support/counter-part.ts'
import { createJournalMesh, type JournalNode } from '../../support/journal-mesh.ts'

const NAMES = ['m0', 'm1', 'm2', 'm3']
const STEP_MS = [100, 900] as const
const HEAL_MS = 90_000
const DECIDES: readonly JournalPart[] =
  counter.journal === undefined ? [] : [{ ...counter.journal, name: counter.name }]

export interface PartsTotals {
  steps: number
  acknowledged: number
  refused: number
  kills: number
  cuts: number
  /** Starts without the part. */
  without: number
  /** Parts that were started by a call or a use. */
  woken: number
}

interface Running {
  readonly node: JournalNode
  readonly parts: PartRunner | undefined
}

export const runPartsWorld = async ({
  seed,
  steps,
  trace,
}: {
  seed: number
  steps: number
  trace?: ((line: string) => void) | undefined
}): Promise<PartsTotals> => {
  const mesh = createJournalMesh({ seed, autopilot: { stableMs: 1_000, replaceAfterMs: 20_000 } })
  const { time, random } = mesh.network
  const totals: PartsTotals = { steps, acknowledged: 0, refused: 0, kills: 0, cuts: 0, without: 0, woken: 0 }
  const running = new Map<string, Running>()
  let attempts = 0
  const tell = (line: string): void => trace?.(`${Math.round(time.now())} ${line}`)

  const start = async (name: string, hasPart: boolean, expect?: number): Promise<void> => {
    const node = await mesh.start(name, { parts: hasPart ? DECIDES : [], ...(expect !== undefined && { expect }) })
    let parts: PartRunner | undefined
    if (hasPart) {
      const all: readonly AnyPart[] = [counter as unknown as AnyPart]
      parts = new PartRunner({ parts: all, provides: [tokens.journal], port: () => node.port })
      await parts.prepare()
      parts.provide(tokens.journal, node.journal)
      await parts.start()
    } else totals.without += 1
    running.set(name, { node, parts })
    tell(`${name} starts ${hasPart ? 'with' : 'without'} the part`)
  }
  const countWoken = ({ parts }: Running): void => {
    totals.woken += parts?.facts().filter(({ state }) => state === 'running').length ?? 0
  }
  const end = (name: string): void => {
    const one = running.get(name)
    if (one === undefined) return
    countWoken(one)
    mesh.kill(one.node)
    running.delete(name)
  }
  const anyOf = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]

  const add = (): void => {
    const from = anyOf([...running.values()])
    const to = anyOf([...running.values()].filter(({ parts }) => parts !== undefined))
    if (from === undefined || to === undefined) return
    attempts += 1
    const call = from.node.port.to(to.node.id, counterProtocol).add({ by: 1 }, { timeoutMs: 8_000 })
    call.then(
      () => {
        totals.acknowledged += 1
      },
      () => {
        totals.refused += 1
      },
    )
  }
  const strike = async (): Promise<void> => {
    const name = anyOf(NAMES) ?? 'm0'
    const what = random()
    if (!running.has(name)) return start(name, random() < 0.8)
    if (what < 0.5) {
      const one = running.get(name)
      const others = [...running.values()].filter((other) => other !== one)
      if (one === undefined) return
      totals.cuts += 1
      tell(`${name} is cut off`)
      mesh.cut(
        [one.node],
        others.map(({ node }) => node),
      )
      return void time.after(3_000 * random(), mesh.heal)
    }
    totals.kills += 1
    tell(`${name} is killed`)
    end(name)
  }

  for (const name of NAMES) await start(name, true, NAMES.length)
  await mesh.untilLeader(20_000)
  await time.run(12_000)
  for (let step = 0; step < steps; step += 1) {
    add()
    if (random() < 0.25) await strike()
    await time.run(STEP_MS[0] + random() * (STEP_MS[1] - STEP_MS[0]))
  }

  tell('everything heals')
  for (const name of NAMES) {
    if (running.get(name)?.parts !== undefined) continue
    end(name)
    await start(name, true)
  }
  mesh.heal()
  // A call to a node that was killed is never answered here.
  await time.run(HEAL_MS)
  const { acknowledged } = totals
  const [first] = running.values()
  if (first?.parts === undefined) throw new Error('no node is there')
  const api = await time.settled(first.parts.use(counter), HEAL_MS)
  const total = await time.settled(api.total(), HEAL_MS)
  if (total < acknowledged || total > attempts)
    throw new Error(`the total is ${total}: ${acknowledged} were acknowledged, ${attempts} asked for`)
  const stuck = [...running.values()].find(({ node }) => node.problem() !== undefined)
  if (stuck !== undefined) throw new Error(`${stuck.node.name} cannot take part: ${stuck.node.problem()}`)
  for (const one of running.values()) countWoken(one)
  for (const name of NAMES) end(name)
  return totals
}
