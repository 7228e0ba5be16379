/**
 * Definitions of parts, checked: names, needs, journal commands, figures, views, protocols. Pure.
 */
import type { ZodType } from 'zod'
import { type AnyProtocol, wireId } from './define.ts'
import { ParleyError } from './errors.ts'
import type { FigureSpecs, NoTokens, Part, PartContext, PartJournal, PartSpec, Tokens, ViewSpecs } from './part.ts'
import { checkKeys, keysOf } from './unknown-keys.ts'

const PART_KEYS = keysOf<PartSpec<unknown, Tokens, Tokens, ZodType, FigureSpecs, ViewSpecs>>({
  name: true,
  description: true,
  needs: true,
  optional: true,
  provides: true,
  options: true,
  protocols: true,
  journal: true,
  figures: true,
  views: true,
  activate: true,
  essential: true,
  load: true,
})
/** What every context has: no need can be called so. */
const CONTEXT_KEYS = keysOf<PartContext>({
  self: true,
  clock: true,
  timers: true,
  log: true,
  metrics: true,
  compression: true,
  gossip: true,
  random: true,
  hash: true,
  hasher: true,
  sign: true,
  verify: true,
  members: true,
  onMember: true,
  serve: true,
  to: true,
  defer: true,
})

const VENDOR = /^[a-z][a-z0-9-]{0,19}\/[a-z][a-z0-9-]{0,23}$/
const OWN = /^[a-z][a-z0-9-]{0,23}$/
const OWN_VENDOR = 'parley'
const FIGURE = /^[a-z][a-z0-9_]{0,63}$/
const VERB = /^[a-z][a-z0-9-]*$/
const MAX_KIND = 64
/** A quarter of the journal. */
export const MAX_JOURNAL_BYTES = 16 * 1024 * 1024
export const MAX_COLLECTION_BYTES = 64 * 1024 * 1024 * 1024
const MAX_PROTOCOLS = 16
const MAX_SHOWN = 32

const unusable = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

const checkName = ({ name, description }: { name: unknown; description: unknown }): void => {
  if (typeof name !== 'string' || !(VENDOR.test(name) || OWN.test(name)))
    throw unusable(
      `the name ${JSON.stringify(name)} of a part is not usable`,
      "use 'vendor/name': up to 20 and 24 characters of a-z, 0-9 and -, each beginning with a letter",
    )
  if (typeof description !== 'string' || description === '')
    throw unusable(`the part ${name} has no description`, 'say in one sentence what it does')
}

const checkTokens = (name: string, needs: Tokens = {}, optional: Tokens = {}): void => {
  for (const key of [...Object.keys(needs), ...Object.keys(optional)]) {
    if (CONTEXT_KEYS.has(key))
      throw unusable(`the part ${name} calls a need ${key}`, 'call it otherwise: each context has a field of that name')
    if (Object.hasOwn(needs, key) && Object.hasOwn(optional, key))
      throw unusable(`the part ${name} names ${key} in needs and in optional`, 'leave out one of the two')
    const token = needs[key] ?? optional[key]
    if (typeof token?.name !== 'string')
      throw unusable(`${key}, which the part ${name} needs, is no token`, 'use a part, or what tokenOf() returns')
  }
}

const checkJournal = (name: string, { level, maxBytes, maxCollectionBytes = 1, kinds }: PartJournal): void => {
  if (!Number.isInteger(level) || level < 1)
    throw unusable(`the journal level ${level} of ${name} is not usable`, 'use 1, and one more with each change')
  if (!Number.isInteger(maxBytes) || maxBytes < 1 || maxBytes > MAX_JOURNAL_BYTES)
    throw unusable(`journal.maxBytes of ${name} is ${maxBytes}`, `use 1 to ${MAX_JOURNAL_BYTES}`)
  if (!Number.isInteger(maxCollectionBytes) || maxCollectionBytes < 1 || maxCollectionBytes > MAX_COLLECTION_BYTES)
    throw unusable(
      `journal.maxCollectionBytes of ${name} is ${maxCollectionBytes}`,
      `use 1 to ${MAX_COLLECTION_BYTES}, or leave it out`,
    )
  const seen = new Set<string>()
  for (const kind of kinds) {
    const [of, verb = ''] = [kind.name.slice(0, name.length + 1), kind.name.slice(name.length + 1)]
    if (of !== `${name}.` || !VERB.test(verb) || kind.name.length > MAX_KIND)
      throw unusable(
        `the journal command ${kind.name} of ${name} is not named as it must be`,
        `call it ${name}.verb, with at most ${MAX_KIND} characters`,
      )
    if (seen.has(kind.name)) throw unusable(`${name} has two journal commands ${kind.name}`, 'rename one of them')
    seen.add(kind.name)
    if (!Number.isInteger(kind.level) || kind.level < 1 || kind.level > level)
      throw unusable(
        `${kind.name} is of level ${kind.level}, and its part of ${level}`,
        'raise journal.level of the part',
      )
  }
}

const checkShown = (name: string, figures: FigureSpecs = {}, views: ViewSpecs = {}): void => {
  for (const shown of [figures, views])
    if (Object.keys(shown).length > MAX_SHOWN)
      throw unusable(
        `the part ${name} shows more than ${MAX_SHOWN} figures or views`,
        'show fewer; use labels and rows',
      )
  for (const [figure, { kind, help }] of Object.entries(figures)) {
    if (!FIGURE.test(figure) || (kind === 'counter') !== figure.endsWith('_total'))
      throw unusable(
        `the figure ${figure} of ${name} is not named as it must be`,
        'use a-z, 0-9 and _; a counter ends with _total, a gauge does not',
      )
    if (help === '') throw unusable(`the figure ${figure} of ${name} has no help`, 'say in one line what it counts')
  }
  for (const [view, { opens }] of Object.entries(views)) {
    if (!OWN.test(view)) throw unusable(`the view ${view} of ${name} is not named as it must be`, 'use a-z, 0-9 and -')
    if (opens !== undefined && (!Object.hasOwn(views, opens) || views[opens]?.of === undefined))
      throw unusable(`the view ${view} of ${name} opens ${opens}, which shows no single thing`, 'give that view `of`')
  }
}

const checkProtocols = (name: string, protocols: readonly AnyProtocol[]): void => {
  const ids = protocols.map(wireId)
  if (ids.length > MAX_PROTOCOLS) throw unusable(`${name} has ${ids.length} protocols`, `use at most ${MAX_PROTOCOLS}`)
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  if (twice !== undefined) throw unusable(`${name} serves ${twice} twice`, 'leave out one, or raise its major version')
}

const checkPart = (
  spec: Omit<PartSpec<unknown, Tokens, Tokens, ZodType, FigureSpecs, ViewSpecs>, 'load'> & { readonly load: unknown },
): void => {
  checkKeys(spec, PART_KEYS, 'a part')
  checkName(spec)
  const { name } = spec
  checkTokens(name, spec.needs, spec.optional)
  if (spec.journal !== undefined) checkJournal(name, spec.journal)
  checkShown(name, spec.figures, spec.views)
  checkProtocols(name, spec.protocols ?? [])
  if (typeof spec.load !== 'function')
    throw unusable(`the part ${name} cannot be loaded`, "give it load: (): Loading<Api> => import('./its-file.ts')")
}

/**
 * Checks a definition and returns it with its exact type.
 * @throws MSG001 for what cannot be used, and for a key that nobody knows
 */
export const definePart = <
  Api,
  const N extends Tokens = NoTokens,
  const O extends Tokens = NoTokens,
  S extends ZodType = ZodType<undefined>,
  const F extends FigureSpecs = NoTokens,
  const V extends ViewSpecs = NoTokens,
>(
  spec: PartSpec<Api, N, O, S, F, V>,
): Part<Api, N, O, S, F, V> => {
  checkPart(spec)
  return spec
}

/** @throws MSG001 for a part that is not the mesh's own and whose name has no vendor */
export const checkVendor = ({ name }: { readonly name: string }): void => {
  if (VENDOR.test(name) && !name.startsWith(`${OWN_VENDOR}/`)) return
  throw unusable(
    `the part ${name} has no vendor of its own`,
    "call it 'vendor/name', with a name of yours in front; names without, and parley/, are the mesh's",
  )
}
