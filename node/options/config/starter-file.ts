/** The file that `parley init` writes: a few keys that are set, and the others that people ask for first, commented out. Pure. */
import { stringify } from 'yaml'
import { findShape, type JsonSchema } from './key-shape.ts'
import { keySpace, withKeyNames } from './key-space.ts'

const WIDTH = 98

const wrap = (text: string): string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

interface Wanted {
  readonly path: readonly string[]
  /** As an example; its default unless told. */
  readonly value?: unknown
  readonly isSet?: boolean
}

/** As YAML in one line behind its key. */
const inline = (value: unknown): string => stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()

const valueOfKey = ({ value }: Wanted, schema: JsonSchema | undefined): unknown => value ?? schema?.default ?? ''

const linesOf = (wanted: Wanted): string[] => {
  const { path, isSet } = wanted
  const shape = findShape(keySpace().all, path)
  const about = wrap(withKeyNames(shape?.about ?? '')).map((line) => `# ${line}`)
  const value = valueOfKey(wanted, shape?.kind === 'leaf' ? shape.schema : undefined)
  const mark = isSet === true ? '' : '#'
  const [name = '', inner] = path
  if (inner === undefined) return [...about, `${mark}${name}: ${inline(value)}`]
  return [...about, `${mark}${name}:`, `${mark}  ${path.slice(1).join('.')}: ${inline(value)}`]
}

export interface StarterOptions {
  readonly mesh: string
  /** As it is named in the file. */
  readonly secretFile: string
}

export const starterFile = ({ mesh, secretFile }: StarterOptions): string => {
  const keys: Wanted[] = [
    { path: ['mesh'], value: mesh, isSet: true },
    { path: ['secret_file'], value: secretFile, isSet: true },
    { path: ['name'], value: 'node' },
    { path: ['preset'] },
    { path: ['listen'], value: ['/ip4/127.0.0.1/tcp/8081'] },
    { path: ['join'], value: ['/dns4/localhost/tcp/8081'] },
    { path: ['data_dir'], value: '.parley/node' },
    { path: ['serve'], value: [] },
    { path: ['labels'], value: { zone: 'a' } },
    { path: ['log'], value: 'info' },
    { path: ['debug'], value: { port: 8090 } },
    { path: ['coordination', 'expect'], value: 1 },
    { path: ['discovery', 'mdns'], value: false },
    { path: ['limits', 'max_connections'] },
    { path: ['timings', 'call_timeout_ms'] },
    { path: ['reliability', 'delivery_guarantee'], value: 'at-least-once' },
  ]
  const head = [
    '# Configuration of a parley node: `parley up` in this folder uses it.',
    '#',
    '# Lines that begin with # and a key are examples; take the # away to set them. Flags of `parley up` and variables',
    '# (PARLEY_MESH, PARLEY_LIMITS__MAX_CONNECTIONS) stand above this file. `parley config reference` lists every key,',
    '# `parley config show` what holds and why. After a change: kill -HUP and the process id, or a restart.',
  ]
  return `${[head, ...keys.map(linesOf)].map((lines) => lines.join('\n')).join('\n\n')}\n`
}
