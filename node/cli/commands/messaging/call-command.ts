/**
 * `parley call`: calls one method and prints what comes, by the control socket of a running node; or, with --join, as a
 * node of its own that joins the mesh and leaves it again.
 *
 * Results go to stdout, one JSON value a line; everything else goes to stderr.
 */

import { type CallTargetName, parseCallTarget } from '../../../control/call-target.ts'
import { createControlClient } from '../../../control/control-client.ts'
import { type CallLine, CallLineSchema, type CallRequest, errorOf } from '../../../control/control-schemas.ts'
import type { FoundNode } from '../../../store/data-directory.ts'
import { nodeThatKnows, offersCall } from '../../connect/choose-node.ts'
import { meshNameOf } from '../../connect/node-endpoint.ts'
import { BY_SOCKET, runningNode } from '../../connect/running-nodes.ts'
import { createInterrupt } from '../../input/signals.ts'
import { readJsonInput } from '../../input/stdin.ts'
import { usageError } from '../../output/exit-codes.ts'
import type { EphemeralNodeOptions } from '../../start/ephemeral-node.ts'

export interface CallCommandOptions extends EphemeralNodeOptions {
  dataDir?: string
  to?: string
  all?: boolean
  timeout?: number
  json?: boolean
}

/** Shown while a call is at work, on a terminal. */
const PROGRESS_WIDTH = 60

const showProgress = ({ fraction, note }: { fraction?: number | undefined; note?: string | undefined }): void => {
  if (process.stderr.isTTY !== true) return
  const percent = fraction === undefined ? '' : `${Math.round(fraction * 100)} % `
  const text = `${percent}${note ?? ''}`.replace(/[\p{Cc}\p{Cs}]/gu, ' ').slice(0, PROGRESS_WIDTH)
  process.stderr.write(`\r${text.padEnd(PROGRESS_WIDTH)}\r`)
}

/** Prints what comes. @throws the last error of --all where nobody gave an answer */
const printAll = async (lines: AsyncIterable<CallLine>, json: boolean): Promise<void> => {
  const pretty = !json && process.stdout.isTTY === true
  const print = (value: unknown): void =>
    void process.stdout.write(`${JSON.stringify(value ?? null, null, pretty ? 2 : 0)}\n`)
  let answers = 0
  let failure: unknown
  for await (const line of lines) {
    if (line.type === 'progress') showProgress(line)
    else if (line.type !== 'reply') print(line.value)
    else if (line.error === undefined) {
      print({ peer: line.peer, name: line.name, value: line.value ?? null })
      answers += 1
    } else {
      const { code, message } = line.error
      print({ peer: line.peer, name: line.name, error: { code, message } })
      failure = errorOf(line.error)
    }
  }
  if (answers === 0 && failure !== undefined) throw failure
}

/** The running node that is asked; undefined for one that has no control socket, which is visited. */
const askedNode = async (
  target: CallTargetName,
  options: CallCommandOptions,
): Promise<(FoundNode & { control: string }) | undefined> => {
  const which = (await nodeThatKnows(options, offersCall(target, options.to))) ?? options
  const node = await runningNode(which, `${BY_SOCKET}, or a member of the mesh with --join`)
  const { control } = node
  if (control === undefined) return undefined
  if (options.mesh !== undefined) {
    const mesh = await meshNameOf(node)
    if (mesh !== options.mesh)
      throw usageError(
        `${node.name} is in the mesh ${mesh}, not in ${options.mesh}`,
        'name a member of the other with --join',
      )
  }
  return { ...node, control }
}

const CANCELLED = 'the call was cancelled on both sides'

const callByNode = async (
  node: FoundNode & { control: string },
  request: CallRequest,
  json: boolean,
): Promise<void> => {
  const { signal, release } = createInterrupt(CANCELLED)
  try {
    const control = createControlClient(node.name, node.control)
    await printAll(control.stream('/api/call', CallLineSchema, { body: request, signal }), json)
  } finally {
    release()
  }
}

const callByVisit = async (request: CallRequest, options: CallCommandOptions, json: boolean): Promise<void> => {
  // Loaded where they are needed: libp2p takes longer to load than a call by the socket to be answered.
  const [{ startEphemeralNode }, { runCall }, { ndjsonLine }] = await Promise.all([
    import('../../start/ephemeral-node.ts'),
    import('../../../control/handlers/run-call.ts'),
    import('../../../control/ndjson.ts'),
  ])
  const mesh = await startEphemeralNode(options)
  const { signal, release } = createInterrupt(CANCELLED)
  const written = async function* (): AsyncGenerator<CallLine, void, undefined> {
    // As it would come over the socket: bytes in base64.
    for await (const line of runCall(mesh, request, { signal, mayBeSelf: false }))
      yield CallLineSchema.parse(JSON.parse(ndjsonLine(line)))
  }
  try {
    await printAll(written(), json)
  } finally {
    release()
    await mesh.stop()
  }
}

export const call = async (name: string, text: string | undefined, options: CallCommandOptions): Promise<void> => {
  const target = parseCallTarget(name)
  const input = await readJsonInput(text)
  const request: CallRequest = {
    target: name,
    input,
    ...(options.to !== undefined && { to: options.to }),
    ...(options.all !== undefined && { all: options.all }),
    ...(options.timeout !== undefined && { timeoutMs: options.timeout }),
  }
  const json = options.json === true
  const node = options.join === undefined ? await askedNode(target, options) : undefined
  await (node === undefined ? callByVisit(request, options, json) : callByNode(node, request, json))
}
