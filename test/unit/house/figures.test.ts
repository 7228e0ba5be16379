/** The figures of the house: what counts, on small trees; and that this tree keeps its limits. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type Figures,
  figuresOf,
  MAX_FILE_LINES,
  MAX_FUNCTION_LINES,
  MAX_ROOM_FILES,
  MIN_FILE_LINES,
} from '../../house/figures.ts'
import { LIMITS, PAGE_WORDS } from '../../house/limits.ts'
import { readSources, wordsOf } from '../../house/tree.ts'

const count = (files: Record<string, string>): Figures => figuresOf(new Map(Object.entries(files)))
const filled = (lines: number): string => '// x\n'.repeat(lines)
/** Of so many lines, the first and the last included. */
const body = (lines: number, indent = '  '): string => `${indent}work()\n`.repeat(lines - 2)

describe('the figures of the house', () => {
  it('count a room with one file too many', () => {
    const room = (files: number) =>
      count(Object.fromEntries(Array.from({ length: files }, (_, i) => [`protocols/room/${i}.ts`, '']))).crowdedRooms
    assert.deepEqual(room(MAX_ROOM_FILES), [])
    assert.deepEqual(room(MAX_ROOM_FILES + 1), [`protocols/room ${MAX_ROOM_FILES + 1}`])
  })

  it('count files that are too long, and those that lie in node/ itself', () => {
    const { longFiles, flatInNode, lines } = count({
      'node/a.ts': filled(MAX_FILE_LINES),
      'node/room/b.ts': filled(MAX_FILE_LINES + 1),
    })
    assert.deepEqual(longFiles, ['node/room/b.ts'])
    assert.deepEqual(flatInNode, ['node/a.ts'])
    assert.equal(lines, 2 * MAX_FILE_LINES + 1)
  })

  it('count functions and methods by their lines, also where their parameters take several', () => {
    const at = MAX_FUNCTION_LINES
    const long = (head: string, lines: number, indent = '') => `${head}\n${body(lines, `${indent}  `)}${indent}}\n`
    const { longFunctions } = count({
      'a.ts': `${long('const fits = (): void => {', at)}${long('export const over = async <T>(one: T): Promise<void> => {', at + 1)}`,
      'b.ts': `export function* loop(\n  one: number,\n): Iterable<number> {\n${body(at - 1)}}\n`,
      'c.ts': `export class Box {\n${long('  #fits(): void {', at, '  ')}${long('  async over(): Promise<void> {', at + 1, '  ')}}\n`,
      'd.ts': `const table = {\n${body(at + 1)}}\n`,
    })
    assert.deepEqual(longFunctions, [
      { id: 'a.ts over', lines: at + 1 },
      { id: 'b.ts loop', lines: at + 1 },
      { id: 'c.ts over', lines: at + 1 },
    ])
  })

  it('count small files that one other imports, and no others', () => {
    const { crumbs } = count({
      'room/crumb.ts': filled(MIN_FILE_LINES - 1),
      'room/whole.ts': filled(MIN_FILE_LINES),
      'room/shared.ts': '',
      'room/lazy.ts': '',
      'a.ts': "import { a } from './room/crumb.ts'\nimport './room/whole.ts'\nexport * from './room/shared.ts'\n",
      'b.ts': "import type {\n  B,\n} from './room/shared.ts'\nconst lazy = () => import('./room/lazy.ts')\n",
    })
    assert.deepEqual(crumbs, ['room/crumb.ts', 'room/lazy.ts'])
  })

  it('count circles of imports, types included', () => {
    const { circles } = count({
      'a.ts': "import type { B } from './b.ts'\n",
      'b.ts': "import { c } from './c.ts'\n",
      'c.ts': "import('./a.ts')\n",
      'd.ts': "import { a } from './a.ts'\n",
    })
    assert.deepEqual(circles, [['a.ts', 'b.ts', 'c.ts']])
  })

  it('count names of exported types and of files that stand twice', () => {
    const { repeatedTypes, repeatedFiles } = count({
      'a/one.ts': 'export interface Item {}\nexport type List<T> = T[]\ntype Own = 1\n',
      'b/one.ts': "export class Item {}\nexport type { List } from '../a/one.ts'\ntype Own = 2\n",
      'a/options.ts': '',
      'b/options.ts': '',
    })
    assert.deepEqual(repeatedTypes, ['Item: a/one.ts b/one.ts'])
    assert.deepEqual(repeatedFiles, ['one.ts: a/one.ts b/one.ts'])
  })
})

describe('this tree', () => {
  const figures = figuresOf(readSources())
  for (const [name, limit] of Object.entries(LIMITS)) {
    it(`keeps the limit of ${name}`, () => {
      const found = figures[name as keyof typeof LIMITS]
      const told = found.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n')
      assert.ok(found.length <= limit, `${found.length} instead of ${limit} at most (npm run house):\n${told}`)
    })
  }
  for (const [page, limit] of Object.entries(PAGE_WORDS)) {
    it(`says in ${page} what it has to say in ${limit} words`, () => {
      const words = wordsOf(page)
      assert.ok(words <= limit, `${words} words; the rest belongs into docs/`)
    })
  }
})
