/* [7] The next kernel, entered with seventeen registers.
 *
 * On entry:
 *   RDI = the registers; IF = 0.
 *   Our GDT has the selectors that boot.rst asks for (CS 0x10, DS ES SS 0x18), and entry.S has
 *   loaded them.
 * On exit:
 *   SSE is as before entry.S, except MXCSR, which is as after reset.
 *   All general registers hold the requested values.
 *   Our IDT stays loaded, so that an NMI returns until the next kernel loads its own IDT.
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
    /* In memory, because every register is taken. */
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
