/**
 * `parley call`: joins the mesh as a node of its own, calls one method, prints what comes, and leaves.
 *
 * Keeps no state. Results go to stdout, one JSON value a line; everything else goes to stderr.
 */
import { ParleyError } from '../../protocols/errors.ts'
import type { Mesh } from '../api.ts'
import { createCallables } from '../callable.ts'
import type { Address, Reply, SendOptions } from '../clients.ts'
import { usage } from './outcome.ts'
import { findTarget, parseTarget, type Target } from './target.ts'
import { inputOf } from './values.ts'
import { type VisitOptions, visit } from './visit.ts'

export interface CallCommandOptions extends VisitOptions {
  to?: string
  all?: boolean
  timeout?: number
  json?: boolean
}

const addressOf = (mesh: Mesh, { to, all }: CallCommandOptions): Address => {
  if (all === true) return { kind: 'all', peers: undefined }
  if (to === undefined) return { kind: 'any' }
  const agent = mesh.directory.find(to)
  if (agent !== undefined) return { kind: 'peer', peer: agent.peer }
  const names = mesh.directory
    .agents()
    .filter(({ self }) => !self)
    .map(({ name }) => name)
  throw new ParleyError('STA001', `no agent is called ${JSON.stringify(to)}, and no peer id is`, {
    hint: names.length === 0 ? 'nobody else is in the mesh' : `there is ${names.slice(0, 20).join(', ')}`,
  })
}

/** Bytes, alone or inside a CBOR value, are printed in base64. */
const plain = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value

const printer = (json: boolean): ((value: unknown) => void) => {
  const pretty = !json && process.stdout.isTTY === true
  return (value) => void process.stdout.write(`${JSON.stringify(value ?? null, plain, pretty ? 2 : 0)}\n`)
}

/** A reply of --all: who, and what or why not. */
const told = (reply: Reply<unknown>): unknown => {
  const { peer, name } = reply
  if ('value' in reply) return { peer, name, value: reply.value ?? null }
  const { error } = reply
  return error instanceof ParleyError
    ? { peer, name, error: { code: error.code, message: error.message } }
    : { peer, name, error: { code: 'APP001', message: String(error) } }
}

const run = async (
  mesh: Mesh,
  { protocol, method, kind }: Target,
  address: Address,
  input: unknown,
  options: SendOptions,
  print: (value: unknown) => void,
): Promise<void> => {
  const callable = createCallables()(protocol, method)
  const payload = callable.codec.encode(input)
  if (address.kind === 'all') {
    if (kind !== 'unary')
      throw usage(
        `${protocol.name}.${method} gives no single answer: it is a method of kind ${kind}`,
        'leave out --all',
      )
    let succeeded = 0
    let last: unknown
    for await (const reply of mesh.calls.all(address, callable, payload, options)) {
      print(told(reply))
      if ('value' in reply) succeeded += 1
      else last = reply.error
    }
    if (succeeded === 0) throw last
    return
  }
  if (kind === 'stream') {
    for await (const item of mesh.calls.stream(address, callable, payload, options)) print(item)
    return
  }
  const value = await mesh.calls.one(address, callable, payload, options)
  if (kind === 'unary') print(value)
}

export const call = async (name: string, text: string | undefined, options: CallCommandOptions): Promise<void> => {
  const wanted = parseTarget(name)
  const input = await inputOf(text)
  const mesh = await visit(options)
  const leave = new AbortController()
  const interrupt = (): void =>
    leave.abort(new ParleyError('COM001', 'interrupted', { hint: 'the call was cancelled on both sides' }))
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  process.stdout.once('error', interrupt)
  try {
    const address = addressOf(mesh, options)
    const agents = mesh.directory
      .agents()
      .filter(({ peer, self }) => !self && (address.kind !== 'peer' || address.peer === peer))
    const target = findTarget(agents, wanted)
    const sending = { signal: leave.signal, ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout }) }
    await run(mesh, target, address, input, sending, printer(options.json === true))
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    process.stdout.off('error', interrupt)
    await mesh.stop()
  }
}
