/* [7] The 64-bit boot protocol (Documentation/arch/x86/boot.rst): CS 0x10, DS ES SS 0x18, IF = 0,
 * RSI = boot parameters.
 *
 * On entry:
 *   RDI = entry point, RSI = boot parameters.
 *   Our GDT has the selectors, and entry.S has loaded them.
 * On exit:
 *   SSE is as before entry.S, except MXCSR, which is as after reset.
 *   All other general registers are 0, and RSP is the empty stack.
 *   Our IDT stays loaded, so that an NMI returns until the capture kernel loads its own IDT
 *   (`load_stage1_idt`, arch/x86/boot/compressed/head_64.S).
 */
    .section .text.leave, "ax", @progbits
    .global leave
    .type leave, @function
leave:
    cli
    cld
    movq    saved_cr4(%rip), %rax
    movq    %rax, %cr4
    movq    saved_cr0(%rip), %rax
    movq    %rax, %cr0
    leaq    __stack_top(%rip), %rsp
    xorl    %eax, %eax
    xorl    %ebx, %ebx
    xorl    %ecx, %ecx
    xorl    %edx, %edx
    xorl    %ebp, %ebp
    xorl    %r8d, %r8d
    xorl    %r9d, %r9d
    xorl    %r10d, %r10d
    xorl    %r11d, %r11d
    xorl    %r12d, %r12d
    xorl    %r13d, %r13d
    xorl    %r14d, %r14d
    xorl    %r15d, %r15d
    jmpq    *%rdi
    .text
