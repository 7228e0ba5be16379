/**
 * The options of createMesh: one zod schema that is the type, the default and the check.
 *
 * Pure, but for a random name. Order of precedence: what the user gives, then the preset, then the defaults. Unknown
 * fields are refused, with the name that was probably meant. What reaches beyond this machine needs a secret, and a
 * strong one (threat model in SECURITY.md). No error ever holds a secret.
 */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import * as z from 'zod'
import { PlanOptions } from '../../protocols/coordination/options.ts'
import { checkVendor } from '../../protocols/define-part.ts'
import { DeliveryOptionsSchema } from '../../protocols/delivery/options.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { EventsOptionsSchema } from '../../protocols/events/options.ts'
import { defineInterceptor, type Interceptor, MAX_INTERCEPTORS } from '../../protocols/interceptors/interceptor.ts'
import type { AnyPart } from '../../protocols/part.ts'
import type { Log } from '../../protocols/port.ts'
import { ResourceOptions } from '../../protocols/resource/options.ts'
import { TaskOptions } from '../../protocols/task/options.ts'
import { nearestName } from '../../protocols/unknown-keys.ts'
import { CoordinationOptions } from '../coordination/coordination-options.ts'
import { type AddressUse, addressProblem, isLoopback } from '../network/addresses/multiaddresses.ts'
import { LOG_LEVELS } from '../observe/log/log-levels.ts'
import { checkMistyped, isStrongEnough } from '../trust/secret.ts'
import { DialOptions } from './dial-options.ts'
import { DiscoveryOptions, RelayOptions } from './discovery-options.ts'
import { CompressionOptions, Limits, Timings } from './limits.ts'
import { DebugEndpoint, DebugOption, HealthListener, HealthOption, MetricsOptions } from './observability.ts'
import { PRESET_NAMES, type Preset } from './preset-names.ts'
import { PRESETS } from './presets.ts'

const LOOPBACK = '127.0.0.1'
const MAX_ADDRESSES = 64
const MAX_LABELS = 32
const MAX_ISSUES = 20
const MAX_PARTS = 64

const SafeName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'use 1 to 64 letters, digits, . _ and -, starting with a letter or digit')

const addresses = (use: AddressUse) =>
  z
    .array(
      z.string().superRefine((address, context) => {
        const message = addressProblem(address, use)
        if (message !== undefined) context.addIssue({ code: 'custom', message })
      }),
    )
    .max(MAX_ADDRESSES)

const isLog = (value: unknown): value is Log =>
  typeof value === 'object' &&
  value !== null &&
  ['error', 'warn', 'info'].every((level) => typeof Reflect.get(value, level) === 'function')

export const isPart = (value: unknown): value is AnyPart =>
  typeof value === 'object' &&
  value !== null &&
  typeof Reflect.get(value, 'name') === 'string' &&
  typeof Reflect.get(value, 'load') === 'function'

const isInterceptor = (value: unknown): value is Interceptor => typeof value === 'object' && value !== null

const Secret = z.string().min(1).max(1024)
const randomName = (): string => `agent-${randomBytes(3).toString('hex')}`

/** Groups of figures; an unknown field is looked up in them too. */
const GROUPS = {
  limits: Limits,
  timings: Timings,
  compression: CompressionOptions,
  events: EventsOptionsSchema,
  delivery: DeliveryOptionsSchema,
  coordination: CoordinationOptions,
  tasks: TaskOptions,
  resources: ResourceOptions,
  plans: PlanOptions,
  discovery: DiscoveryOptions,
  dial: DialOptions,
  metrics: MetricsOptions,
}

export const MeshOptionsSchema = z.strictObject({
  name: SafeName.default(randomName).describe(
    'Name of this agent in lists, logs and metrics; agent- and 6 random characters unless told. Names need not be unique, but people confuse two of the same.',
  ),
  mesh: SafeName.default('parley').describe(
    'Name of the mesh. Nodes of different meshes refuse each other, so that many meshes live on one host.',
  ),
  preset: z
    .enum(PRESET_NAMES)
    .default('local')
    .describe('Where the peers are: local (one machine), lan or wan. Sets times, limits and compression together.'),
  secret: z
    .union([Secret, z.tuple([Secret, Secret])], { error: 'use a text of 1 to 1024 characters, or two in an array' })
    .transform((secret): string[] => [secret].flat())
    .optional()
    .describe(
      'What all members know, made by `parley secret`. Two during a change: both are accepted. Whoever has it is a full member and cannot be revoked. Without one the mesh stays on this machine.',
    ),
  allowWeakSecret: z
    .boolean()
    .default(false)
    .describe('Accept a short or written secret beyond this machine. Whoever can connect may then guess it offline.'),
  dataDir: z
    .string()
    .min(1)
    .transform((path) => resolve(path))
    .optional()
    .describe(
      'Folder for the identity and all state, one process at a time. Without it the node is a new peer at each start.',
    ),
  listen: addresses('listen')
    .default([`/ip4/${LOOPBACK}/tcp/0`])
    .describe('Multiaddresses to listen on; /ws at the end for WebSocket, port 0 for any free one. None: only dials.'),
  announce: addresses('announce')
    .optional()
    .describe('Multiaddresses to tell peers instead of those it listens on; for nodes behind NAT or a load balancer.'),
  join: addresses('join')
    .default([])
    .describe(
      'Members to find the others by: multiaddresses with or without /p2p, names such as /dns4/host/tcp/8081 for all that they resolve to, or srv:_parley._tcp.host. Several survive the loss of one.',
    ),
  labels: z
    .record(SafeName, z.string().max(256))
    .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `use at most ${MAX_LABELS} labels`)
    .default({})
    .describe('Facts about this node for the directory, such as zone or model. They travel with each record.'),
  debug: DebugOption,
  health: HealthOption,
  metrics: MetricsOptions.prefault({}).describe('Figures beside those that every node counts.'),
  control: z
    .boolean()
    .default(false)
    .describe(
      'Control socket in the data directory, for the command `parley`: only the user of this node reaches it, and may do with it whatever the node may. `parley up` has it.',
    ),
  log: z
    .union([z.enum(LOG_LEVELS), z.custom<Log>(isLog)], {
      error: `use ${LOG_LEVELS.join(', ')}, or an object with the functions error, warn and info`,
    })
    .default('warn')
    .describe('Least urgent level that is written to stderr, or your own log.'),
  minorGc: z
    .boolean()
    .default(false)
    .describe(
      "Free the buffers of bulk traffic by V8's minor collections: pauses of 1 to 2 ms where a full collection takes 5 to 15. V8's flag --expose-gc is set for a moment in this process, and only this node sees what comes of it; a process that was started with the flag needs no option. With it the process also gives back, once, some 40 MiB that its start took: in a quiet moment in the first minute, with a pause of 50 ms or so, unless there was much to do before. `parley up` has it.",
    ),
  limits: Limits.prefault({}).describe('Bounds of queues, messages and connections.'),
  timings: Timings.prefault({}).describe('Timeouts and periods, in milliseconds.'),
  compression: CompressionOptions.prefault({}).describe('Compression of messages between peers.'),
  events: EventsOptionsSchema.prefault({}).describe('Batches and queues of events.'),
  delivery: DeliveryOptionsSchema.prefault({}).describe('Durable messages, and when a peer that fails is left alone.'),
  coordination: CoordinationOptions.prefault({}).describe('Who votes for the coordinator, and the journal.'),
  tasks: TaskOptions.prefault({}).describe('Tasks: how long what they left is kept.'),
  resources: ResourceOptions.prefault({}).describe('Resources: what this node has to give.'),
  plans: PlanOptions.prefault({}).describe('Plans: what this agent says of itself, and which services it is.'),
  parts: z
    .array(z.custom<AnyPart>(isPart, 'use what definePart returns'))
    .max(MAX_PARTS)
    .default([])
    .describe('Features of your own or of others that this node has, as definePart returns them.'),
  partOptions: z
    .record(z.string(), z.record(z.string(), z.unknown()))
    .default({})
    .describe('Options of those parts, by the name of the part, as in acme/tally.'),
  interceptors: z
    .array(z.custom<Interceptor>(isInterceptor, 'use what defineInterceptor returns'))
    .max(MAX_INTERCEPTORS)
    .default([])
    .describe('What stands around calls, messages and events of this node, the outermost one first.'),
  tls: z
    .strictObject({
      certFile: z.string().min(1).describe('Certificate with its chain, PEM.'),
      keyFile: z.string().min(1).describe('Its private key, PEM.'),
    })
    .optional()
    .describe(
      'Certificate for WebSocket addresses with /tls in them, which browsers and proxies want. Between nodes Noise encrypts anyway.',
    ),
  discovery: DiscoveryOptions.prefault({}).describe('How peers are found beside join.'),
  dial: DialOptions.prefault({}).describe(
    'Where this node connects to. Addresses of join are dialled unless denied. Of those that peers announce, none is dialled by default that is link-local, loopback of another machine, a metadata service of a cloud, multicast or a name.',
  ),
})

/** What createMesh takes. */
export type MeshOptionsInput = z.input<typeof MeshOptionsSchema>
/** The same with everything filled in. */
export type MeshOptions = z.output<typeof MeshOptionsSchema>

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isPreset = (value: unknown): value is Preset => PRESET_NAMES.some((name) => name === value)

/** Puts the preset's figures under those that the user gave. */
const withPreset = (input: Record<string, unknown>): Record<string, unknown> => {
  const merged = { ...input }
  for (const [group, figures] of Object.entries(isPreset(input.preset) ? PRESETS[input.preset] : {})) {
    const { [group]: given = {} } = input
    // What is no object is left for the schema to refuse.
    if (!isRecord(given)) continue
    const set = Object.entries(given).filter(([, value]) => value !== undefined)
    merged[group] = { ...figures, ...Object.fromEntries(set) }
  }
  return merged
}

export interface OptionIssue {
  /** `limits.maxFrameBytes` */
  path: string
  message: string
  hint?: string
}

const written = (path: readonly PropertyKey[]): string => path.map(String).join('.')

const keysAt = (path: readonly PropertyKey[]): string[] => {
  if (written(path) === 'discovery.relay') return Object.keys(RelayOptions.shape)
  const group = Object.entries({ ...GROUPS, debug: DebugEndpoint, health: HealthListener }).find(
    ([name]) => name === path[0],
  )?.[1]
  return Object.keys(group?.shape ?? (path.length === 0 ? MeshOptionsSchema.shape : {}))
}

const unknownField = (path: readonly PropertyKey[], key: string): OptionIssue => {
  const group = Object.entries(GROUPS).find(([, { shape }]) => Object.hasOwn(shape, key))?.[0]
  const meant = group === undefined ? nearestName(key, keysAt(path)) : `${group}.${key}`
  return {
    path: written([...path, key]),
    message: 'unknown option',
    hint: meant === undefined ? `known are ${keysAt(path).join(', ')}` : `did you mean ${meant}?`,
  }
}

const readIssue = (issue: z.core.$ZodIssue): OptionIssue[] =>
  issue.code === 'unrecognized_keys'
    ? issue.keys.map((key) => unknownField(issue.path, key))
    : [{ path: written(issue.path) || 'options', message: issue.message }]

const invalid = (issues: readonly OptionIssue[]): ParleyError => {
  const shown = issues.slice(0, MAX_ISSUES)
  const more = issues.length > shown.length ? `; and ${issues.length - shown.length} more` : ''
  const hints = shown.flatMap(({ path, hint }) => (hint === undefined ? [] : [`${path}: ${hint}`]))
  return new ParleyError(
    'MSG001',
    `the options cannot be used: ${shown.map(({ path, message }) => `${path}: ${message}`).join('; ')}${more}`,
    {
      hint: hints.join('; ') || 'change or leave out the options that are named; each has a default',
      details: { issues: shown },
    },
  )
}

const checkControl = ({ control, dataDir }: MeshOptions): void => {
  if (!control || dataDir !== undefined) return
  const message = 'a node without a data directory has no place for a control socket'
  throw invalid([{ path: 'control', message, hint: 'set dataDir, or leave out control' }])
}

/** A promise and a vote are worth nothing where they are forgotten. */
const checkFounding = ({ dataDir, coordination: { expect, voter } }: MeshOptions): void => {
  if (expect === undefined || (dataDir !== undefined && voter === 'auto')) return
  const [message, hint] =
    dataDir === undefined
      ? ['a node without a data directory cannot found a mesh', 'set dataDir, or leave out coordination.expect']
      : ['a node that never votes cannot found a mesh', 'leave out coordination.voter or coordination.expect']
  throw invalid([{ path: 'coordination.expect', message, hint }])
}

/** What comes through a relay comes from beyond this machine, wherever the relay is. */
const checkRelaying = ({ secret = [], discovery: { relay } }: MeshOptions): void => {
  if (secret.length > 0 || (!relay.serve && relay.use !== 'always')) return
  throw new ParleyError('SEC001', 'relays lead beyond this machine, and this node has no secret', {
    hint: 'make one with `parley secret` and give it to all nodes, or leave out discovery.relay',
    details: { reason: 'no-secret' },
  })
}

const checkParts = ({ parts, partOptions, interceptors }: MeshOptions): void => {
  for (const part of parts) checkVendor(part)
  for (const one of interceptors) defineInterceptor(one)
  const names = parts.map(({ name }) => name)
  const foreign = Object.keys(partOptions).find((name) => !names.includes(name))
  if (foreign === undefined) return
  const meant = nearestName(foreign, names)
  const hint =
    meant === undefined
      ? 'give the part to createMesh({ parts }), or its module to `parley up --part`; or leave this out'
      : `did you mean ${meant}?`
  throw invalid([{ path: `partOptions.${foreign}`, message: 'this node has no such part', hint }])
}

/** The rule of trust: whatever can be reached from, or reaches, another machine needs a strong secret. */
const checkExposure = (options: MeshOptions): void => {
  const { secret = [], listen, announce = [], join } = options
  const exposed = Object.entries({ listen, announce, join }).flatMap(([use, list]) =>
    list.filter((address) => !isLoopback(address)).map((address) => `${use} ${address}`),
  )
  const [first] = exposed
  if (first === undefined) return
  if (secret.length === 0) {
    throw new ParleyError('SEC001', `${first} goes beyond this machine, and this node has no secret`, {
      hint: 'make one with `parley secret` and give it to all nodes, or stay on 127.0.0.1',
      details: { reason: 'no-secret', addresses: exposed },
    })
  }
  if (!options.allowWeakSecret && !secret.every(isStrongEnough)) {
    throw new ParleyError('SEC001', `${first} goes beyond this machine, and the secret is weak: it could be guessed`, {
      hint: 'make one with `parley secret`, or set allowWeakSecret if you accept that',
      details: { reason: 'weak-secret', addresses: exposed },
    })
  }
}

/**
 * Checks the options and fills in preset and defaults.
 * @throws MSG001 with each problem in `details.issues`; SEC001 where the node would be open to other machines
 */
export const parseOptions = (input: unknown = {}): MeshOptions => {
  if (!isRecord(input)) throw invalid([{ path: 'options', message: 'must be an object' }])
  const parsed = MeshOptionsSchema.safeParse(withPreset(input))
  if (!parsed.success) throw invalid(parsed.error.issues.flatMap(readIssue))
  checkFounding(parsed.data)
  checkControl(parsed.data)
  checkMistyped(parsed.data.secret ?? [])
  checkExposure(parsed.data)
  checkRelaying(parsed.data)
  checkParts(parsed.data)
  return parsed.data
}
