/* [7] The next kernel, entered with seventeen registers.
 *
 * On entry: RDI = the registers; our GDT has the selectors that boot.rst asks for (CS 0x10, DS ES SS 0x18), entry.S has loaded them,
 *   IF = 0.
 * On exit: SSE as it was before entry.S, but for MXCSR, which is as after reset; all general registers as asked. Our IDT stays, so that an
 *   NMI is survived until the next kernel loads its own.
 */
    .section .text.enter, "ax", @progbits
    .global enter
    .type enter, @function
enter:
    cli
    cld
    movq    saved_cr4(%rip), %rax
    movq    %rax, %cr4
    movq    saved_cr0(%rip), %rax
    movq    %rax, %cr0
    /* Out of the registers' way, since RSP is one of them. */
    movq    {RIP}(%rdi), %rax
    movq    %rax, enter_rip(%rip)
    movq    {RAX}(%rdi), %rax
    movq    {RCX}(%rdi), %rcx
    movq    {RDX}(%rdi), %rdx
    movq    {RBX}(%rdi), %rbx
    movq    {RSP}(%rdi), %rsp
    movq    {RBP}(%rdi), %rbp
    movq    {RSI}(%rdi), %rsi
    movq    {R8_TO_R15}+0x00(%rdi), %r8
    movq    {R8_TO_R15}+0x08(%rdi), %r9
    movq    {R8_TO_R15}+0x10(%rdi), %r10
    movq    {R8_TO_R15}+0x18(%rdi), %r11
    movq    {R8_TO_R15}+0x20(%rdi), %r12
    movq    {R8_TO_R15}+0x28(%rdi), %r13
    movq    {R8_TO_R15}+0x30(%rdi), %r14
    movq    {R8_TO_R15}+0x38(%rdi), %r15
    movq    {RDI}(%rdi), %rdi
    jmpq    *enter_rip(%rip)

    .section .bss.enter, "aw", @nobits
    .balign 8
enter_rip:
    .skip   8
    .text
