// Compiled, not run: what a strict program of somebody else sees of the types.
import {
  type AllClient,
  type AnyClient,
  type Client,
  createMesh,
  defineEvent,
  defineMessage,
  defineProtocol,
  isParleyError,
  type Mesh,
  type MeshOptionsInput,
  makeSecret,
} from 'parley-mesh'
import { type Agent, describe, pick } from 'parley-mesh/discovery'
import { type Envelope, type Port, wireId } from 'parley-mesh/protocols'
import { z } from 'zod'

const counter = defineProtocol({
  name: 'counter',
  version: '1.0.0',
  methods: {
    words: { request: z.string(), response: z.number(), idempotent: true },
    upTo: { request: z.number(), stream: z.number() },
    note: { request: z.object({ text: z.string() }), oneWay: true },
  },
})
const saved = defineEvent({ topic: 'files.saved', version: '1.0.0', schema: z.object({ path: z.string() }) })
const order = defineMessage({ type: 'order.placed', version: '1.0.0', schema: z.object({ cents: z.int() }) })

const options: MeshOptionsInput = { name: 'typed', secret: makeSecret(), limits: { maxConnections: 10 } }

export const use = async (): Promise<number> => {
  const mesh: Mesh = await createMesh(options)
  const one: Client<typeof counter> = mesh.to(mesh.self.id, counter)
  const any: AnyClient<typeof counter> = mesh.any(counter)
  const all: AllClient<typeof counter> = mesh.all(counter)
  await mesh.serve(counter, {
    words: (text, { peer, signal }) => (signal.aborted ? peer.length : text.split(' ').length),
    async *upTo(last) {
      for (let n = 1; n <= last; n += 1) yield n
    },
    note: ({ text }) => void text.trim(),
  })
  let total: number = await any.words('a b', { timeoutMs: 1_000 })
  for await (const n of one.upTo(3)) total += n
  for await (const reply of all.words('a', { count: 1 })) total += 'value' in reply ? reply.value : 0
  await one.note({ text: 'x' })
  await mesh.events.subscribe(saved, ({ data }) => void data.path.length)
  await mesh.messages.receive(order, ({ cents }) => void cents.toFixed())
  const agents: readonly Agent[] = mesh.directory.agents()
  const port: Port = mesh.port
  const seen: Envelope['id'] | undefined = undefined
  // @ts-expect-error a number is no text: the types of a contract hold for its callers
  await one.words(7).catch((error: unknown) => isParleyError(error, 'MSG001'))
  // @ts-expect-error a method with a stream is not asked of everyone
  all.upTo
  await mesh.stop()
  return total + agents.length + [port, seen, describe(counter), pick, wireId(counter)].length
}
