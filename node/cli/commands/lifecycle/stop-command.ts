/** `parley stop`: nodes end in order; it waits until their processes are gone. */

import { basename, dirname, resolve } from 'node:path'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { ProcessSchema } from '../../../control/control-schemas.ts'
import { isStillRunning, type ProcessIdentity } from '../../../platform/process-identity.ts'
import { type FoundNode, readNodes } from '../../../store/data-directory.ts'
import { controlClientOf } from '../../connect/node-endpoint.ts'
import { runningNode, runningNodes } from '../../connect/running-nodes.ts'
import { errorText, usageError } from '../../output/exit-codes.ts'
import { print } from '../../output/print.ts'
import { createProgressBar } from '../../output/progress-bar.ts'

export interface StopOptions {
  dataDir?: string[]
  all?: boolean
  timeout: number
  json?: boolean
}

const LOOK_MS = 25
/** A process whose node has stopped and that goes on for longer belongs to a program. */
const EMBEDDED_MS = 2_000

const chosenNodes = async (names: readonly string[], { dataDir = [], all }: StopOptions): Promise<FoundNode[]> => {
  if (all === true) {
    if (names.length + dataDir.length > 0) throw usageError('--all names all nodes already', 'leave out the others')
    return runningNodes()
  }
  if (names.length + dataDir.length === 0)
    return [
      await runningNode(
        {},
        'its name, --all or --data-dir',
        (name) => `name those to stop, as in parley stop ${name}, or stop all of them: parley stop --all`,
      ),
    ]
  const named = await Promise.all([
    ...[...new Set(names)].map((node) => runningNode({ node })),
    ...dataDir.map((dir) => runningNode({ dataDir: dir })),
  ])
  return [...new Map(named.map((node) => [node.directory, node])).values()]
}

/** The process goes on where a program embeds the node and does not end with it: then its data directory is free. */
const isStopped = async ({ directory }: FoundNode): Promise<boolean> => {
  const path = resolve(directory)
  const left = (await readNodes(dirname(path))).find((one) => basename(one.directory) === basename(path))
  return left?.alive !== true
}

/** @returns how it ended, and when; undefined where it did not within the time */
const ended = async (
  node: FoundNode,
  which: ProcessIdentity,
  untilMs: number,
): Promise<{ processGone: boolean; atMs: number } | undefined> => {
  let freeSinceMs: number | undefined
  while (await isStillRunning(which)) {
    const nowMs = performance.now()
    if (freeSinceMs !== undefined && nowMs - freeSinceMs > EMBEDDED_MS) return { processGone: false, atMs: freeSinceMs }
    if (nowMs > untilMs) return undefined
    if (freeSinceMs === undefined && (await isStopped(node))) freeSinceMs = nowMs
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  return { processGone: true, atMs: performance.now() }
}

/** @returns milliseconds that it took @throws COM001 where it still runs after the timeout */
const stopOne = async (node: FoundNode, timeoutMs: number): Promise<{ ms: number; processGone: boolean }> => {
  const control = controlClientOf(node)
  if (control === undefined) {
    throw new ParleyError('COM002', `the node ${node.name} has no control socket`, {
      hint: `the program that embeds it can stop it; it is process ${node.pid}`,
    })
  }
  const startedAt = performance.now()
  const which = await control.ask('POST', '/api/stop', ProcessSchema, { body: {} })
  const how = await ended(node, which, startedAt + timeoutMs)
  if (how === undefined) {
    throw new ParleyError('COM001', `${node.name} still runs after ${timeoutMs} ms, as process ${node.pid}`, {
      hint: `it may have work that takes longer: see its log; kill -9 ${node.pid} ends it at once`,
    })
  }
  return { ms: Math.round(how.atMs - startedAt), processGone: how.processGone }
}

export const stop = async (names: readonly string[], options: StopOptions): Promise<void> => {
  const nodes = await chosenNodes(names, options)
  const json = options.json === true
  const bar = await createProgressBar('stopping', nodes.length, json || nodes.length < 2)
  let failure: unknown
  const results = await Promise.all(
    nodes.map(async (node) => {
      const { name, peerId: id, pid } = node
      try {
        const { ms, processGone } = await stopOne(node, options.timeout)
        bar.advance(1, `${name} stopped`)
        return { name, id, pid, ms, processGone, error: undefined }
      } catch (error) {
        failure ??= error
        bar.advance(1, `${name} did not stop`)
        return { name, id, pid, ms: undefined, processGone: false, error }
      }
    }),
  )
  bar.end('done')
  if (json) {
    const lines = results.map(({ error, ...one }) =>
      error === undefined
        ? one
        : { ...one, error: isParleyError(error) ? { code: error.code, message: error.message } : String(error) },
    )
    print(JSON.stringify(lines))
  } else if (nodes.length === 0) print('no node is running here')
  for (const { name, ms, processGone, error } of results) {
    if (json) continue
    if (ms !== undefined)
      print(
        `${name} stopped in ${ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`}${processGone ? '' : '; its process goes on'}`,
      )
    // The first one is reported when this ends.
    else if (error !== failure) process.stderr.write(errorText(error))
  }
  if (failure !== undefined) throw failure
}
