/**
 * A process in which short-lived nodes come and go, wave after wave. Between two waves there is none, so that what it
 * weighs then was left by nodes that stopped.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { answerQuestions, note, tell } from './answer.ts'
import { nowMs } from './clock.ts'
import type { HostVerbs, WaveOrder } from './messages.ts'
import { startNode } from './node.ts'
import { createRandom, type Random } from './random.ts'
import { createScales } from './sample.ts'

const ARRIVE_WITHIN_MS = 1_000
const STAY_MS = [1_000, 2_500] as const
/** Later than the mesh's own drain: a stop that takes longer hangs. */
const STOP_MS = 15_000

const scales = createScales()

const visit = async ({ options, work }: WaveOrder, random: Random, name: string): Promise<void> => {
  await sleep(random.between(0, ARRIVE_WITHIN_MS))
  const node = await startNode({ options: { ...options, name }, seed: random.below(2 ** 32) }, tell)
  const { id } = node.mesh.self
  note({ type: 'joined', peer: id })
  const { load, hearing } = await node.work(work)
  await sleep(random.between(...STAY_MS))
  await Promise.all([load.stop(), hearing.stop()])
  tell.leaving(id)
  const startedAt = nowMs()
  await node.mesh.stop()
  if (nowMs() - startedAt > STOP_MS) note({ type: 'wrong', what: `${name} took ${nowMs() - startedAt} ms to stop` })
  if (node.answering.held() > 0)
    note({ type: 'wrong', what: `${name} stopped with ${node.answering.held()} handlers at work` })
  note({ type: 'left', counts: load.counts })
}

const verbs: HostVerbs = {
  async wave(order) {
    const random = createRandom(order.seed)
    const visits = Array.from({ length: order.nodes }, (_, i) =>
      visit(order, random, `${order.options.name}-${i}`).catch((error: unknown) =>
        note({ type: 'wrong', what: `a visit failed: ${error instanceof Error ? error.stack : String(error)}` }),
      ),
    )
    await Promise.all(visits)
  },
  weigh: scales.weigh,
}

answerQuestions({ ...verbs })
