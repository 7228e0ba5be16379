/** What the API reference takes out of the compiler's declarations. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apiOf, apiPage } from '../../docs/declarations.ts'

const FILES: Record<string, string> = {
  'node/index.d.ts': `/** The entry. */
export { createNode, type Node } from './node.ts';
export { type Odd as Strange } from '../protocols/odd.ts';
`,
  'node/node.d.ts': `/** A node. */
import type { Odd } from '../protocols/odd.ts';
interface Hidden {
    /** Of it. */
    readonly odd: Odd;
}
/** What runs. */
export interface Node {
    readonly hidden: Hidden;
}
/**
 * Starts one.
 * @throws MSG001
 */
export declare const createNode: (options?: {
    name: string;
}) => Promise<Node>;
`,
  'protocols/odd.d.ts': `export type Odd = 1 | 3;\n`,
}

test('an entry has what it exports, under its own names, and what that names', () => {
  const api = apiOf('node/index.d.ts', (path) => FILES[path])
  assert.deepEqual(
    api.exported.map(({ name, kind, comment }) => [name, kind, comment]),
    [
      ['createNode', 'function', 'Starts one.\n@throws MSG001'],
      ['Node', 'type', 'What runs.'],
      ['Strange', 'type', ''],
    ],
  )
  assert.deepEqual(
    api.used.map(({ name }) => name),
    ['Hidden'],
  )
  const page = apiPage('an entry', api)
  assert.match(page, /^# an entry\n\n## Functions\n\n### `createNode`\n\nStarts one\./)
  assert.match(page, /const createNode: \(options\?: \{\n {4}name: string;\n\}\) => Promise<Node>;\n```/)
})
