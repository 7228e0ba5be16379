/** What `parley doctor` says of a node that runs: whether it answers, is ready, and what does not work meanwhile. */
import { setTimeout } from 'node:timers/promises'
import type * as z from 'zod'
import type { ControlClient } from '../../control/control-client.ts'
import { ReadinessSchema, SelfSchema } from '../../observe/debug/debug-schemas.ts'
import { VERSION } from '../../platform/version.ts'
import type { FoundNode } from '../../store/data-directory.ts'
import { controlClientOf, requestNode } from '../connect/node-endpoint.ts'
import { type DoctorCheck, type Finding, fail, messageOf, ok, skipped, warn } from './check-finding.ts'

/** A node that is well answers in some milliseconds. */
const ANSWER_MS = 3_000

interface Answer {
  /** What was asked. */
  readonly by: string
  readonly readiness: z.output<typeof ReadinessSchema>
  readonly version: string
}

const bySocket = async (control: ControlClient): Promise<Answer> => {
  const [readiness, { version }] = await Promise.all([
    requestNode({ control }, 'GET', '/api/readiness', ReadinessSchema),
    requestNode({ control }, 'GET', '/api/self', SelfSchema),
  ])
  return { by: 'control socket', readiness, version }
}

/** A node that is not ready answers with what it waits for, too. */
const byUrl = async (url: string, signal: AbortSignal): Promise<Answer> => {
  const [readiness, self] = await Promise.all(
    ['/readyz', '/api/self'].map(async (path): Promise<unknown> => (await fetch(url + path, { signal })).json()),
  )
  return { by: url, readiness: ReadinessSchema.parse(readiness), version: SelfSchema.parse(self).version }
}

const asked = async (node: FoundNode, signal: AbortSignal): Promise<Answer | undefined> => {
  const control = controlClientOf(node)
  if (control === undefined)
    return node.debugUrl === undefined
      ? undefined
      : byUrl(node.debugUrl, AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]))
  const late = setTimeout(ANSWER_MS, undefined, { ref: false }).then(() => {
    throw new Error(`nothing came within ${ANSWER_MS / 1000} s`)
  })
  return Promise.race([bySocket(control), late])
}

const judge = ({ by, readiness, version }: Answer, name: string): Finding[] => {
  const { ready, reasons, degraded = [] } = readiness
  const found: Finding[] = []
  if (ready) found.push(ok('ready', `${name} is ready, as its ${by} says`))
  else found.push(fail('ready', `${name} is not ready: ${reasons.join('; ')}`, 'it goes on trying; its log says more'))
  if (degraded.length > 0)
    found.push(warn('degraded', degraded.join('; '), 'it works, without this; its log says more'))
  if (version !== VERSION)
    found.push(warn('version', `${name} runs ${version}, and this is ${VERSION}`, 'restart the node to update it'))
  return found
}

const running: DoctorCheck = {
  name: 'running node',
  async run({ node, note, dataDir }, signal) {
    const { name } = running
    if (node === undefined)
      return [
        dataDir === undefined && note === undefined ? skipped(name, 'none is known') : ok(name, 'it does not run'),
      ]
    try {
      const answer = await asked(node, signal)
      if (answer === undefined)
        return [skipped(name, `process ${node.pid} runs and has neither control socket nor debug endpoint to ask`)]
      return [ok(name, `${node.name}, process ${node.pid}, answers`), ...judge(answer, node.name)]
    } catch (error) {
      const seen = `${node.name}, process ${node.pid}, runs and does not answer: ${messageOf(error)}`
      return [fail(name, seen, `it may hang or be frozen: see its log, and the state of process ${node.pid}`)]
    }
  },
}

export const NODE_CHECKS: readonly DoctorCheck[] = [running]
