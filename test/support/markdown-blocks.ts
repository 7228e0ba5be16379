/** The code blocks of a Markdown text: language, what else stands behind it, text, and where it begins. Pure. */
export interface Block {
  readonly language: string
  /** Words behind the language, such as `run`, or the name of a file. */
  readonly marks: readonly string[]
  readonly text: string
  /** Of its first line of code, from 1. */
  readonly line: number
}

export const blocksOf = (markdown: string): Block[] => {
  const blocks: Block[] = []
  let open: { language: string; marks: string[]; line: number; lines: string[] } | undefined
  for (const [index, text] of markdown.split('\n').entries()) {
    const fence = /^```(\S*)[ \t]*(.*)$/.exec(text)
    if (fence === null) open?.lines.push(text)
    else if (open === undefined) {
      const marks = (fence[2] ?? '').split(/\s+/).filter((mark) => mark !== '')
      open = { language: fence[1] ?? '', marks, line: index + 2, lines: [] }
    } else {
      blocks.push({ language: open.language, marks: open.marks, line: open.line, text: `${open.lines.join('\n')}\n` })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`the code block at line ${open.line} has no end`)
  return blocks
}

/**
 * The commands of a block of shell lines, as words: comments, pipes, redirections and what is behind `&&` are cut into
 * commands of their own. As much of the shell's grammar as texts use.
 */
export const commandsOf = (text: string): string[][] => {
  const commands: string[][] = []
  for (const line of text.replace(/\\\n/g, ' ').split('\n')) {
    let words: string[] = []
    for (const [, single, double, operator, plain] of line.matchAll(
      /'([^']*)'|"([^"]*)"|(#.*|&&|\|\||[|;&])|([^\s'"|;&]+)/g,
    )) {
      if (operator !== undefined) {
        commands.push(words)
        words = []
      } else words.push(single ?? double ?? plain ?? '')
    }
    commands.push(words)
  }
  return commands.filter((words) => words.length > 0)
}
