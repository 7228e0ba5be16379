/** What `parley doctor` says of a node that runs: whether it answers, is ready, and what does not work meanwhile. Keeps no state. */
import { setTimeout } from 'node:timers/promises'
import type * as z from 'zod'
import type { FoundNode } from '../../data-directory.ts'
import { ReadinessSchema } from '../../debug/source.ts'
import { request, socketOf } from '../reach.ts'
import { type Check, type Finding, fail, messageOf, ok, skipped, warn } from './finding.ts'

/** A node that is well answers in some milliseconds. */
const ANSWER_MS = 3_000

type Readiness = z.output<typeof ReadinessSchema>

/** Both a node that is ready and one that is not answer with it. */
const readinessOf = async (
  node: FoundNode,
  signal: AbortSignal,
): Promise<{ by: string; readiness: Readiness } | undefined> => {
  const control = socketOf(node)
  if (control !== undefined) {
    const late = setTimeout(ANSWER_MS, undefined, { ref: false }).then(() => {
      throw new Error(`nothing came within ${ANSWER_MS / 1000} s`)
    })
    const readiness = await Promise.race([request({ control }, 'GET', '/api/readiness', ReadinessSchema), late])
    return { by: 'control socket', readiness }
  }
  if (node.debugUrl === undefined) return undefined
  const response = await fetch(`${node.debugUrl}/readyz`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
  })
  return { by: node.debugUrl, readiness: ReadinessSchema.parse(await response.json()) }
}

const judge = ({ by, readiness }: { by: string; readiness: Readiness }, name: string): Finding[] => {
  const { ready, reasons, degraded = [] } = readiness
  const found: Finding[] = []
  if (ready) found.push(ok('ready', `${name} is ready, as its ${by} says`))
  else found.push(fail('ready', `${name} is not ready: ${reasons.join('; ')}`, 'it goes on trying; its log says more'))
  if (degraded.length > 0)
    found.push(warn('degraded', degraded.join('; '), 'it works, without this; its log says more'))
  return found
}

const running: Check = {
  name: 'running node',
  async run({ node, note, dataDir }, signal) {
    const { name } = running
    if (node === undefined)
      return [skipped(name, dataDir === undefined && note === undefined ? 'none is known' : 'it does not run')]
    try {
      const answer = await readinessOf(node, signal)
      if (answer === undefined)
        return [skipped(name, `process ${node.pid} runs and has neither control socket nor debug endpoint to ask`)]
      return [ok(name, `${node.name}, process ${node.pid}, answers`), ...judge(answer, node.name)]
    } catch (error) {
      const seen = `${node.name}, process ${node.pid}, runs and does not answer: ${messageOf(error)}`
      return [fail(name, seen, `it may hang or be frozen: see its log, and the state of process ${node.pid}`)]
    }
  },
}

export const NODE_CHECKS: readonly Check[] = [running]
